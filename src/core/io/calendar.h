/* Points in time as people write them: in the machine's time zone, or in UTC. */
#ifndef VV_IO_CALENDAR_H
#define VV_IO_CALENDAR_H

#include <stdint.h>

typedef struct vv_calendar {
    int year;                 /* 0 to 9999 */
    int month, day;           /* from 1 */
    int hour, minute, second; /* second: 0 to 60 */
    int east_minutes;         /* of UTC */
} vv_calendar;

/* The zone is that of the variable TZ, else the machine's. */
vv_calendar vv_calendar_local(int64_t unix_seconds);
vv_calendar vv_calendar_utc(int64_t unix_seconds);

#endif
