#include "calendar.h"

#include <stddef.h>

enum { PRE = 4 * 60, OPEN = 9 * 60 + 30, CLOSE = 16 * 60, EARLY_CLOSE = 13 * 60, AFTER = 4 * 60 };

/* Proleptic Gregorian, counted from 1 March of year 0 so that the leap day is the last of its year. */
int32_t sim_calendar_days(struct sim_date date)
{
    int year = date.month <= 2 ? date.year - 1 : date.year;
    int month = date.month <= 2 ? date.month + 9 : date.month - 3;
    int32_t days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date.day - 1;
    return days - 719468;
}

struct sim_date sim_calendar_date(int32_t day)
{
    int32_t n = day + 719468;
    int year = (int)((n * 400LL + 399) / 146097);
    int32_t rest = n - (year * 365 + year / 4 - year / 100 + year / 400);
    if (rest < 0) {
        year--;
        rest = n - (year * 365 + year / 4 - year / 100 + year / 400);
    }
    int month = (5 * rest + 2) / 153;
    int dom = rest - (153 * month + 2) / 5 + 1;
    return month < 10 ? (struct sim_date){year, month + 3, dom} : (struct sim_date){year + 1, month - 9, dom};
}

int sim_calendar_weekday(int32_t day)
{
    return (int)(((day + 4) % 7 + 7) % 7);
}

static int32_t floor_div(int64_t a, int64_t b)
{
    return (int32_t)(a >= 0 ? a / b : -((-a + b - 1) / b));
}

/* The nth weekday of a month; n = -1: the last. */
static int32_t nth(int year, int month, int weekday, int n)
{
    if (n < 0) {
        int32_t last = sim_calendar_days((struct sim_date){year + month / 12, month % 12 + 1, 1}) - 1;
        return last - (sim_calendar_weekday(last) - weekday + 7) % 7;
    }
    int32_t first = sim_calendar_days((struct sim_date){year, month, 1});
    return first + (weekday - sim_calendar_weekday(first) + 7) % 7 + 7 * (n - 1);
}

/* A stretch of one year in which the clocks are not changed. */
struct stretch {
    int64_t from, to;
    int32_t offset;
};

static struct stretch stretch_of(int64_t t)
{
    int year = sim_calendar_date(floor_div(t, SIM_DAY)).year;
    int32_t start = year >= 2007 ? nth(year, 3, 0, 2) : nth(year, 4, 0, year >= 1987 ? 1 : -1);
    int32_t end = year >= 2007 ? nth(year, 11, 0, 1) : nth(year, 10, 0, -1);
    /* 02:00 standard is 07:00 UTC, 02:00 daylight 06:00 UTC. */
    int64_t forward = start * SIM_DAY + 7 * SIM_HOUR, back = end * SIM_DAY + 6 * SIM_HOUR;
    if (t < forward)
        return (struct stretch){sim_calendar_days((struct sim_date){year, 1, 1}) * SIM_DAY, forward, -18000};
    if (t < back)
        return (struct stretch){forward, back, -14400};
    return (struct stretch){back, sim_calendar_days((struct sim_date){year + 1, 1, 1}) * SIM_DAY, -18000};
}

int32_t sim_calendar_offset(int64_t t)
{
    /* Questions come in runs about the same season. */
    static struct stretch latest;
    if (t < latest.from || t >= latest.to)
        latest = stretch_of(t);
    return latest.offset;
}

int32_t sim_calendar_new_york_day(int64_t t)
{
    return floor_div(t + sim_calendar_offset(t) * INT64_C(1000), SIM_DAY);
}

int64_t sim_calendar_midnight(int32_t day)
{
    /* The clocks change at 02:00: the offset at 05:00 UTC is the one in force at midnight. */
    int64_t utc = day * SIM_DAY;
    return utc - sim_calendar_offset(utc + 5 * SIM_HOUR) * INT64_C(1000);
}

int sim_calendar_minute(int64_t t)
{
    int64_t local = t + sim_calendar_offset(t) * INT64_C(1000);
    return (int)((local - floor_div(local, SIM_DAY) * SIM_DAY) / SIM_MINUTE);
}

/* Gregorian Easter Sunday (anonymous algorithm). */
static int32_t easter(int year)
{
    int a = year % 19, b = year / 100, c = year % 100;
    int d = b / 4, e = b % 4, g = (8 * b + 13) / 25, h = (19 * a + b - d - g + 15) % 30;
    int i = c / 4, k = c % 4, l = (32 + 2 * e + 2 * i - h - k) % 7, m = (a + 11 * h + 19 * l) / 433;
    int month = (h + l - 7 * m + 90) / 25;
    int day = (h + l - 7 * m + 33 * month + 19) % 32;
    return sim_calendar_days((struct sim_date){year, month, day});
}

/* A holiday that falls on Saturday is kept on Friday, on Sunday on Monday. */
static int32_t observed(int year, int month, int day)
{
    int32_t at = sim_calendar_days((struct sim_date){year, month, day});
    int weekday = sim_calendar_weekday(at);
    return weekday == 6 ? at - 1 : weekday == 0 ? at + 1 : at;
}

static const char *holiday(int32_t day, int year)
{
    int32_t new_year = sim_calendar_days((struct sim_date){year, 1, 1});
    /* A New Year's Day on Saturday is not made up for: the Friday belongs to the old year's books. */
    if (day == new_year + (sim_calendar_weekday(new_year) == 0))
        return "New Years Day";
    if (year >= 1998 && day == nth(year, 1, 1, 3))
        return "Martin Luther King, Jr. Day";
    if (day == nth(year, 2, 1, 3))
        return "Washington's Birthday";
    if (day == easter(year) - 2)
        return "Good Friday";
    if (day == nth(year, 5, 1, -1))
        return "Memorial Day";
    if (year >= 2022 && day == observed(year, 6, 19))
        return "Juneteenth";
    if (day == observed(year, 7, 4))
        return "Independence Day";
    if (day == nth(year, 9, 1, 1))
        return "Labor Day";
    if (day == nth(year, 11, 4, 4))
        return "Thanksgiving";
    if (day == observed(year, 12, 25))
        return "Christmas";
    return NULL;
}

static const char *early(int32_t day, int year)
{
    if (day == nth(year, 11, 4, 4) + 1)
        return "Thanksgiving";
    struct sim_date date = sim_calendar_date(day);
    if (date.month == 12 && date.day == 24)
        return "Christmas";
    if (date.month == 7 && date.day == 3 && sim_calendar_weekday(day) <= 4)
        return "Independence Day";
    return NULL;
}

enum sim_day_kind sim_calendar_kind(int32_t day, const char **ret_holiday)
{
    const char *name = NULL;
    enum sim_day_kind kind = SIM_DAY_CLOSED;
    int weekday = sim_calendar_weekday(day);
    if (weekday != 0 && weekday != 6) {
        int year = sim_calendar_date(day).year;
        name = holiday(day, year);
        if (!name) {
            name = early(day, year);
            kind = name ? SIM_DAY_EARLY : SIM_DAY_FULL;
        }
    }
    if (ret_holiday)
        *ret_holiday = name;
    return kind;
}

/* Kind and count of earlier exchange days, for every day. */
static uint8_t kinds[SIM_LAST_DAY - SIM_FIRST_DAY + 1];
static uint16_t counts[SIM_LAST_DAY - SIM_FIRST_DAY + 1];

static int32_t slot(int32_t day)
{
    static bool built;
    if (!built) {
        uint16_t count = 0;
        for (int32_t i = 0; i <= SIM_LAST_DAY - SIM_FIRST_DAY; i++) {
            kinds[i] = (uint8_t)sim_calendar_kind(SIM_FIRST_DAY + i, NULL);
            counts[i] = count;
            count = (uint16_t)(count + (kinds[i] != SIM_DAY_CLOSED));
        }
        built = true;
    }
    return day < SIM_FIRST_DAY ? 0 : day > SIM_LAST_DAY ? SIM_LAST_DAY - SIM_FIRST_DAY : day - SIM_FIRST_DAY;
}

int32_t sim_calendar_index(int32_t day)
{
    int32_t i = slot(day);
    return counts[i];
}

int sim_calendar_close(int32_t day)
{
    int32_t i = slot(day);
    return kinds[i] == SIM_DAY_EARLY ? EARLY_CLOSE : CLOSE;
}

enum sim_phase sim_calendar_stocks(int64_t t)
{
    int32_t day = sim_calendar_new_york_day(t);
    int32_t i = slot(day);
    if (kinds[i] == SIM_DAY_CLOSED)
        return SIM_CLOSED;
    int minute = sim_calendar_minute(t);
    int close = sim_calendar_close(day);
    if (minute < PRE || minute >= close + AFTER)
        return SIM_CLOSED;
    return minute < OPEN ? SIM_PRE : minute < close ? SIM_REGULAR : SIM_AFTER;
}

bool sim_calendar_forex(int64_t t)
{
    int weekday = sim_calendar_weekday(sim_calendar_new_york_day(t));
    int minute = sim_calendar_minute(t);
    if (weekday == 6)
        return false;
    if (weekday == 0)
        return minute >= 17 * 60;
    return weekday < 5 || minute < 17 * 60;
}
