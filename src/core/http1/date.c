#include "core/http1/date.h"

#include <string.h>

static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* 1970 began on a Thursday */
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY_SECONDS = 86400, ERA_DAYS = 146097 /* 400 years */, EPOCH_DAYS = 719468 /* from 0000-03-01 to 1970 */ };

typedef struct civil {
    int64_t year;
    unsigned month, day; /* from 0; from 1 */
} civil;

/* Years are counted from March, so that the leap day is the last of its year and months follow one formula. */
static civil
civil_from_days(int64_t days)
{
    days += EPOCH_DAYS;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    unsigned day_of_era = (unsigned)(days - era * ERA_DAYS);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = (month_from_march + 2) % 12;

    return (civil){
        .year = era * 400 + year_of_era + (month < 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static uint8_t *
put2(uint8_t *out, unsigned number)
{
    out[0] = (uint8_t)('0' + number / 10 % 10);
    out[1] = (uint8_t)('0' + number % 10);
    return out + 2;
}

static uint8_t *
put(uint8_t *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

/* The range of four-digit years: 0000-01-01 to 9999-12-31, in seconds. */
static const int64_t first_second = INT64_C(-62167219200), last_second = INT64_C(253402300799);

void
vv_date_write(uint8_t *out, int64_t unix_seconds)
{
    if (unix_seconds < first_second)
        unix_seconds = first_second;
    if (unix_seconds > last_second)
        unix_seconds = last_second;

    int64_t days = unix_seconds / DAY_SECONDS, second = unix_seconds % DAY_SECONDS;
    if (second < 0) {
        second += DAY_SECONDS;
        days--;
    }
    civil date = civil_from_days(days);
    unsigned clock = (unsigned)second, year = (unsigned)date.year;

    out = put(out, day_names[(days % 7 + 7) % 7], 3);
    out = put(out, ", ", 2);
    out = put2(out, date.day);
    out = put(out, " ", 1);
    out = put(out, month_names[date.month], 3);
    out = put(out, " ", 1);
    out = put2(out, year / 100);
    out = put2(out, year % 100);
    out = put(out, " ", 1);
    out = put2(out, clock / 3600);
    out = put(out, ":", 1);
    out = put2(out, clock / 60 % 60);
    out = put(out, ":", 1);
    out = put2(out, clock % 60);
    put(out, " GMT", 4);
}
