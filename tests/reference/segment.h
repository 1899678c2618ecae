/* reference/segment.h - a bars segment in plain memory, with the main thread's side of it: for tests of the
 * engine alone. */
#ifndef REFERENCE_SEGMENT_H
#define REFERENCE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/engine.h"
#include "polygond/abi.h"

struct ref_segment {
    uint8_t *base;
    size_t size;
    bool shared; /* survives a fork */
    struct pgd_bars_geometry geo;
};

/* Memory for `series` series of `capacity` rows, laid out for `plan`; `shared`: an anonymous shared mapping.
 * Aborts when there is none. */
void ref_segment_init(struct ref_segment *ret, const struct pgk_plan *plan, uint32_t series,
                      uint32_t capacity, uint32_t state_every, bool shared);
void ref_segment_fini(struct ref_segment *segment);

struct pgd_series *ref_series(const struct ref_segment *segment, uint32_t series);
void ref_open(const struct ref_segment *segment, uint32_t series, enum pgd_session session);

/* As the daemon's main thread does them: the revision protocol of the ABI. */
uint64_t ref_append(const struct ref_segment *segment, uint32_t series, const struct pgd_bar *bar);
void ref_revise(const struct ref_segment *segment, uint32_t series, uint64_t index,
                const struct pgd_bar *bar);
void ref_insert(const struct ref_segment *segment, uint32_t series, uint64_t index,
                const struct pgd_bar *bar);

/* Leaves row `index` as a writer that stands in the middle of a revision; ref_revise ends it. */
void ref_begin_revision(const struct ref_segment *segment, uint32_t series, uint64_t index);

struct pgd_bar *ref_bar(const struct ref_segment *segment, uint32_t series, uint64_t index);

/* First word: tag; then the columns. */
const uint64_t *ref_unit(const struct ref_segment *segment, uint32_t series, uint64_t index);
double ref_value(const struct ref_segment *segment, uint32_t series, uint64_t index, uint32_t column);

/* True when the unit of row `index` says it belongs to the bar that is there. */
bool ref_fresh(const struct ref_segment *segment, uint32_t series, uint64_t index);

/* The engine under test: the CPU's, or what the environment says: TEST_ENGINE=cuda, with TEST_CUDA_DRIVER and
 * TEST_CUDA_RTC for libraries other than the system's. */
struct pgk_engine_options ref_options(void);

/* One that is bound to the segment, as segment 0. Aborts when there is none. */
struct pgk_engine *ref_engine(const struct pgk_plan *plan, const struct ref_segment *segment);

/* Streams a history, one bar at a time, through a fresh engine over a fresh segment of the given capacity:
 * the CPU's, which any other way to the same history must equal bit for bit, or the one under test. */
void ref_stream(struct ref_segment *ret, const struct pgk_plan *plan, const struct pgd_bar *bars,
                size_t count, uint32_t capacity, enum pgd_session session);
void ref_stream_tested(struct ref_segment *ret, const struct pgk_plan *plan, const struct pgd_bar *bars,
                       size_t count, uint32_t capacity, enum pgd_session session);

/* First held row of series 0 whose units are not its bar's, or not those of `want`; head when all are. */
uint64_t ref_difference(const struct ref_segment *got, const struct ref_segment *want);

/* Index of the oldest row of series 0 that is held. */
uint64_t ref_oldest(const struct ref_segment *segment);

#endif
