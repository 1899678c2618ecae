/* Nobody sleeps through a publication, a new epoch or a successor. One writer publishes BATCHES heads and at some
 * point changes hands (one word stands for epoch and state); two readers take what is published and look for the
 * change between two waits. A reader that sleeps for ever is an invalid end state.
 *
 * -DBREAK_ORDER: notify before head. -DBREAK_COMPARE: the kernel does not compare before it sleeps (a plain
 * condition). -DBREAK_LAST: a wait counts from its own beginning, not from the last return. Each must fail. */
#define BATCHES 2
#define READERS 2

byte head = 0, notify = 0, hands = 0;
bool asleep[READERS];

inline wake()
{
    d_step {
        asleep[0] = false;
        asleep[1] = false
    }
}

inline change_hands()
{
    hands = 1;
    notify++;
    wake()
}

active proctype writer()
{
    byte i;
    if
    :: change_hands()
    :: true
    fi;
    for (i : 1 .. BATCHES) {
#ifdef BREAK_ORDER
        notify++;
        wake();
        head = i
#else
        head = i;
        notify++;
        wake()
#endif
    }
    if
    :: hands == 0 -> change_hands()
    :: else
    fi
}

active [READERS] proctype reader()
{
    byte next = 0, seen = 0, last = 0;
    bool changed = false;
    do
    :: (next == BATCHES && changed) -> break
    :: else ->
        /* what the caller does between two waits */
        if
        :: head > next -> next = head
        :: else
        fi;
        if
        :: hands == 1 -> changed = true
        :: else
        fi;
        if
        :: (next == BATCHES && changed) -> break
        :: else
        fi;
        /* pgd_tape_wait */
        seen = notify;
#ifdef BREAK_LAST
        last = seen;
#endif
        if
        :: (seen != last || head > next) -> last = seen; goto done
        :: else
        fi;
#ifdef BREAK_COMPARE
        asleep[_pid - 1] = true;
#else
        atomic {
            if
            :: notify == seen -> asleep[_pid - 1] = true
            :: else
            fi
        }
#endif
        (!asleep[_pid - 1]);
        last = notify;
done:
        skip
    od
}
