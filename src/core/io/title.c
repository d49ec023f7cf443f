#include "core/io/title.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

typedef struct area {
    uintptr_t args, args_end, env, env_end;
} area;

/* Fields 48 to 51 of /proc/self/stat (see proc(5)). */
static int
find_area(area *found)
{
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    char *at = strrchr(text, ')'); /* behind the second field, which may hold anything */
    for (int field = 2; at != NULL && field < 48; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return 0;
    uintptr_t *into[] = {&found->args, &found->args_end, &found->env, &found->env_end};
    for (size_t i = 0; i < sizeof into / sizeof *into; i++)
        *into[i] = (uintptr_t)strtoull(at, &at, 10);
    return found->args != 0 && found->args < found->args_end;
}

/* Moves what the environment has in there, so that it may be written over. */
static vv_status
move_environment(const area *at)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        uintptr_t where = (uintptr_t)*entry;
        if (where < at->env || where >= at->env_end)
            continue;
        char *copy = strdup(*entry); /* for the rest of the process's life, as the strings that it replaces */
        if (copy == NULL)
            return VV_E_NO_MEMORY;
        *entry = copy;
    }
    return VV_OK;
}

vv_status
vv_title_set(vv_span title, vv_span name)
{
    char comm[16] = {0};
    memcpy(comm, name.at, name.len < sizeof comm - 1 ? name.len : sizeof comm - 1);
    (void)!prctl(PR_SET_NAME, comm, 0, 0, 0);

    area at;
    if (!find_area(&at))
        return VV_E_SYSTEM;
    uintptr_t end = at.args_end;
    if (at.env == at.args_end && at.env_end > at.env) {
        vv_status status = move_environment(&at);
        if (status != VV_OK)
            return status;
        end = at.env_end;
    }
    char *memory = (char *)at.args; /* NOLINT: the kernel has told us */
    size_t room = (size_t)(end - at.args), len = title.len < room - 1 ? title.len : room - 1;
    memset(memory, 0, room);
    memcpy(memory, title.at, len);
    /* The kernel looks behind the arguments if their last byte is no NUL: so it does when the title goes on there. */
    return VV_OK;
}
