#include "core/io/calendar.h"

#include <time.h>

static vv_calendar
from_tm(const struct tm *tm)
{
    int year = tm->tm_year + 1900;
    return (vv_calendar){
        .year = year < 0      ? 0
                : year > 9999 ? 9999
                              : year,
        .month = tm->tm_mon + 1,
        .day = tm->tm_mday,
        .hour = tm->tm_hour,
        .minute = tm->tm_min,
        .second = tm->tm_sec,
        .east_minutes = (int)(tm->tm_gmtoff / 60),
    };
}

vv_calendar
vv_calendar_local(int64_t unix_seconds)
{
    time_t time = (time_t)unix_seconds;
    struct tm tm = {.tm_mday = 1};
    (void)localtime_r(&time, &tm);
    return from_tm(&tm);
}

vv_calendar
vv_calendar_utc(int64_t unix_seconds)
{
    time_t time = (time_t)unix_seconds;
    struct tm tm = {.tm_mday = 1};
    (void)gmtime_r(&time, &tm);
    return from_tm(&tm);
}
