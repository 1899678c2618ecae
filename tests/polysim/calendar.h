/* calendar.h - New York time and the sessions of each kind of market.
 *
 * Written independently of the kernels' own New York arithmetic, so that the two check each other.
 * A day is a count of days since 1970-01-01; times are ms since 1970, UTC. Valid from 1990 to 2099. */
#ifndef POLYSIM_CALENDAR_H
#define POLYSIM_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_MINUTE INT64_C(60000)
#define SIM_HOUR   INT64_C(3600000)
#define SIM_DAY    INT64_C(86400000)

#define SIM_FIRST_DAY 7305  /* 1990-01-01 */
#define SIM_LAST_DAY  47481 /* 2099-12-31 */

struct sim_date {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

struct sim_date sim_calendar_date(int32_t day);
int32_t sim_calendar_days(struct sim_date date);
int sim_calendar_weekday(int32_t day); /* 0 Sunday .. 6 Saturday */

/* Seconds to add to UTC for New York wall-clock time: -18000 or -14400. */
int32_t sim_calendar_offset(int64_t t);
int32_t sim_calendar_new_york_day(int64_t t);
/* 00:00 New York of that day. */
int64_t sim_calendar_midnight(int32_t day);
/* New York wall clock, in minutes since 00:00. */
int sim_calendar_minute(int64_t t);

/* Exchange days of US stocks. */
enum sim_day_kind { SIM_DAY_CLOSED, SIM_DAY_EARLY, SIM_DAY_FULL };
/* ret_holiday (may be NULL): the holiday's name for a closed weekday or an early close, else NULL. */
enum sim_day_kind sim_calendar_kind(int32_t day, const char **ret_holiday);

/* Number of exchange days in [SIM_FIRST_DAY, day). The first call builds a table. */
int32_t sim_calendar_index(int32_t day);

enum sim_phase { SIM_CLOSED, SIM_PRE, SIM_REGULAR, SIM_AFTER };
enum sim_phase sim_calendar_stocks(int64_t t);
/* Minute of the regular close: 960, or 780 on an early day. */
int sim_calendar_close(int32_t day);
/* Sunday 17:00 to Friday 17:00 New York. */
bool sim_calendar_forex(int64_t t);

#endif
