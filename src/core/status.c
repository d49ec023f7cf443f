#include "core/status.h"

int
vv_status_answer(vv_status status)
{
    switch (status) {
#define X(name, number, answer, text)                                                                                  \
    case name:                                                                                                         \
        return answer;
        VV_STATUS_TABLE(X)
#undef X
    }
    return 500;
}

const char *
vv_status_text(vv_status status)
{
    switch (status) {
#define X(name, number, answer, text)                                                                                  \
    case name:                                                                                                         \
        return text;
        VV_STATUS_TABLE(X)
#undef X
    }
    return "unknown status";
}
