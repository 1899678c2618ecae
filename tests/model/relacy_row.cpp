// Rows of a series under the C11 memory model: one writer appends and revises, an engine writes one
// indicator, a reader takes rows. A ring of two rows (of which one is readable), one payload word pair a row.
// Break it with -DBREAK_APPEND_FENCE, -DBREAK_REVISE_FENCE, -DBREAK_ODD, -DBREAK_READER_FENCE,
// -DBREAK_RECHECK, -DBREAK_META or -DBREAK_HEAD.
#include <relacy/relacy.hpp>

#ifdef BREAK_META
#define PUBLISH_META rl::memory_order_relaxed
#else
#define PUBLISH_META rl::memory_order_release
#endif
#ifdef BREAK_RECHECK
#define RECHECK rl::memory_order_relaxed
#else
#define RECHECK rl::memory_order_acquire
#endif
#ifdef BREAK_HEAD
#define PUBLISH_HEAD rl::memory_order_relaxed
#else
#define PUBLISH_HEAD rl::memory_order_release
#endif

struct row_test : rl::test_suite<row_test, 2> {
    enum { CAPACITY = 2, WORDS = 2 };
    struct row {
        rl::atomic<unsigned> meta;
        rl::atomic<unsigned> word[WORDS];
    };
    row rows[CAPACITY];
    rl::atomic<unsigned> head;

    void before()
    {
        head($) = 0;
        for (int i = 0; i < CAPACITY; i++) {
            rows[i].meta($) = 0;
            for (int w = 0; w < WORDS; w++)
                rows[i].word[w]($) = 0;
        }
    }

    // A payload says its row and revision: 16 * (index + 1) + rev.
    void append(unsigned index)
    {
        row &r = rows[index % CAPACITY];
#ifndef BREAK_APPEND_FENCE
        rl::atomic_thread_fence(rl::memory_order_release);
#endif
        for (int w = 0; w < WORDS; w++)
            r.word[w].store(16 * (index + 1) + 2, rl::memory_order_relaxed);
        r.meta.store(2, rl::memory_order_relaxed);
        head.store(index + 1, PUBLISH_HEAD);
    }

    void revise(unsigned index, unsigned rev)
    {
        row &r = rows[index % CAPACITY];
#ifndef BREAK_ODD
        r.meta.store(rev - 1, rl::memory_order_relaxed);
#endif
#ifndef BREAK_REVISE_FENCE
        rl::atomic_thread_fence(rl::memory_order_release);
#endif
        for (int w = 0; w < WORDS; w++)
            r.word[w].store(16 * (index + 1) + rev, rl::memory_order_relaxed);
        r.meta.store(rev, PUBLISH_META);
    }

    void read()
    {
        for (int tries = 0; tries < 3; tries++) {
            unsigned h = head.load(rl::memory_order_acquire);
            if (h == 0)
                continue;
            unsigned index = h - 1;
            row &r = rows[index % CAPACITY];
            unsigned meta = r.meta.load(rl::memory_order_acquire);
            if (meta & 1)
                continue;
            unsigned copy[WORDS];
            for (int w = 0; w < WORDS; w++)
                copy[w] = r.word[w].load(rl::memory_order_relaxed);
#ifndef BREAK_READER_FENCE
            rl::atomic_thread_fence(rl::memory_order_acquire);
#endif
            unsigned again = r.meta.load(RECHECK);
            h = head.load(rl::memory_order_relaxed);
            if (again != meta || index + CAPACITY <= h)
                continue;
            for (int w = 0; w < WORDS; w++)
                RL_ASSERT(copy[w] == 16 * (index + 1) + meta);
        }
    }

    void thread(unsigned index)
    {
        if (index == 1) {
            read();
            return;
        }
        append(0);
        revise(0, 4);
        append(1);
        append(2);
        revise(2, 4);
    }
};

int main()
{
    rl::test_params p;
    p.iteration_count = ITERATIONS;
    p.search_type = rl::random_scheduler_type;
    return rl::simulate<row_test>(p) ? 0 : 1;
}
