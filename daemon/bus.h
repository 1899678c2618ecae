/* daemon/bus.h - the segments of this run: sized, checked against what the machine has, created or adopted.
 * Main thread. */
#ifndef DAEMON_BUS_H
#define DAEMON_BUS_H

#include "config.h"
#include "kernels/engine.h"
#include "shm/board.h"
#include "shm/series.h"
#include "shm/tapes.h"

#define BUS_BARS_MAX 2

struct bus {
    struct pgd_board_writer board;
    struct pgd_bars bars[BUS_BARS_MAX];
    int64_t span_ms[BUS_BARS_MAX];
    const char *timespan[BUS_BARS_MAX];
    unsigned bars_count;
    struct pgd_tape_segment trades; /* map.base NULL: not configured */
    struct pgd_tape_segment quotes;
    bool adopted; /* rows of an earlier run are there */
};

/* Bytes of shared memory the configuration takes; 0 and a line in err when a number is impossible. */
uint64_t bus_size(const struct config *config, const struct pgk_plan *plan, char *err, size_t err_size);

/* Opens all. On failure nothing stays open, err has a line that says what to change, and the result is
 * -EBUSY    another daemon runs this instance
 * -ENOSPC   shared memory (or memory) is too small
 * -EINVAL   a retention too short for the indicators
 * or what the system said. `control`: path of the control socket or "". */
int bus_open(struct bus *ret, const struct config *config, const struct pgk_plan *plan, const char *control,
             gid_t gid, char *err, size_t err_size) __attribute__((warn_unused_result));
void bus_close(struct bus *bus);

/* Maps the pages of a series' first `rows` rows, bars and indicators, ahead of their writing: done in one go
 * it costs a tenth of the faults it saves. Any thread. */
void bus_touch(const struct bus *bus, unsigned segment, uint32_t series, size_t rows);

/* Index of a timespan's segment, -1 when it is not configured. */
int bus_find(const struct bus *bus, int64_t span_ms);

#endif
