/* The registered reason phrases (RFC 9110 section 15 and the IANA registry). */
#ifndef VV_HTTP1_REASON_H
#define VV_HTTP1_REASON_H

#include "core/bytes/span.h"

/* The phrase registered for a status code of 100 to 999; an empty span where there is none. Static. */
vv_span vv_reason(int status);

#endif
