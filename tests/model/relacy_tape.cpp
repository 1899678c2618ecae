// The tape under the C11 memory model: one writer, one reader, a ring of two slots, two payload words.
// Reservations of one record stand for those of 64. Break it with -DBREAK_WRITER_FENCE, -DBREAK_READER_FENCE
// or -DBREAK_COMMIT and it must fail.
#include <relacy/relacy.hpp>

#ifdef BREAK_COMMIT
#define COMMIT rl::memory_order_relaxed
#else
#define COMMIT rl::memory_order_release
#endif

struct tape_test : rl::test_suite<tape_test, 2> {
    enum { CAPACITY = 2, RECORDS = 4, WORDS = 2 };
    struct slot {
        rl::atomic<unsigned> commit;
        rl::atomic<unsigned> word[WORDS];
    };
    slot slots[CAPACITY];
    rl::atomic<unsigned> reserve;

    void before()
    {
        reserve($) = 0;
        for (int i = 0; i < CAPACITY; i++) {
            slots[i].commit($) = 0;
            for (int w = 0; w < WORDS; w++)
                slots[i].word[w]($) = 0;
        }
    }

    void write()
    {
        for (unsigned i = 0; i < RECORDS; i++) {
            reserve.store(i + 1, rl::memory_order_relaxed);
#ifndef BREAK_WRITER_FENCE
            rl::atomic_thread_fence(rl::memory_order_release);
#endif
            slot &s = slots[i % CAPACITY];
            for (int w = 0; w < WORDS; w++)
                s.word[w].store(i + 1, rl::memory_order_relaxed);
            s.commit.store(i + 1, COMMIT);
        }
    }

    void read()
    {
        unsigned next = 0;
        for (int tries = 0; tries < 4; tries++) {
            slot &s = slots[next % CAPACITY];
            if (s.commit.load(rl::memory_order_acquire) == next + 1) {
                unsigned copy[WORDS];
                for (int w = 0; w < WORDS; w++)
                    copy[w] = s.word[w].load(rl::memory_order_relaxed);
#ifndef BREAK_READER_FENCE
                rl::atomic_thread_fence(rl::memory_order_acquire);
#endif
                if (reserve.load(rl::memory_order_relaxed) - next <= CAPACITY) {
                    for (int w = 0; w < WORDS; w++)
                        RL_ASSERT(copy[w] == next + 1);
                    next++;
                    continue;
                }
            }
            unsigned r = reserve.load(rl::memory_order_relaxed);
            if (r > next + CAPACITY)
                next = r - 1;
        }
    }

    void thread(unsigned index)
    {
        if (index == 0)
            write();
        else
            read();
    }
};

int main()
{
    rl::test_params p;
    p.iteration_count = ITERATIONS;
    p.search_type = rl::random_scheduler_type;
    return rl::simulate<tape_test>(p) ? 0 : 1;
}
