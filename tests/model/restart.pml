/* Restarts: TURNS daemons one after another, each killed at any step but the last. Each adopts the segment that
 * has the name, or marks it stale and puts a successor in its place. A reader that attaches at any time ends on
 * the last one's segment with the last one's epoch, and is never left on a dead one. Epochs only grow in a segment.
 *
 * -DBREAK_WAKE: a successor is made without waking the old segment's readers. -DBREAK_MAGIC: the magic is stored
 * before the epoch. -DBREAK_ADOPT_STALE: a segment that was marked stale may be adopted again. Each must fail. */
#define TURNS 3
#define NONE 9

byte name = NONE;
byte files = 0; /* inodes made so far */
byte epoch[TURNS], notify[TURNS];
bool magic[TURNS], stale[TURNS];
bool asleep = false;
byte sleeps_on = NONE;
bool done = false; /* the last one is up */

inline wake(f)
{
    d_step {
        notify[f] = notify[f] + 1;
        if
        :: sleeps_on == f -> asleep = false
        :: else
        fi
    }
}

/* kill -9 here, unless it is the last one's turn */
#define KILL                     \
    if                           \
    :: turn < TURNS -> goto killed \
    :: true                      \
    fi

inline publish(f)
{
#ifdef BREAK_MAGIC
    magic[f] = true;
    KILL;
    epoch[f] = turn;
#else
    assert(epoch[f] < turn);
    epoch[f] = turn;
    KILL;
    magic[f] = true;
#endif
    KILL;
    wake(f)
}

active proctype daemon()
{
    byte turn = 0, f;
next_run:
    turn++;
    f = name;
    if
    :: f == NONE -> goto create
    :: f != NONE ->
        if
#ifdef BREAK_ADOPT_STALE
        :: magic[f] -> goto adopt
#else
        :: magic[f] && !stale[f] -> goto adopt
#endif
        :: true /* another layout, or not whole */
        fi
    fi;
    if
    :: magic[f] ->
        stale[f] = true;
        KILL;
#ifndef BREAK_WAKE
        wake(f);
#endif
        KILL
    :: else
    fi;
    name = NONE;
    KILL;
create:
    f = files;
    files++;
    name = f;
    KILL;
adopt:
    publish(f);
    if
    :: turn < TURNS -> goto killed
    :: else -> done = true; goto up
    fi;
killed:
    goto next_run;
up:
    skip
}

active proctype reader()
{
    byte f, seen, last, known;
attach:
    /* -ENOENT and -EAGAIN are tried again until there is something to attach */
    (name != NONE);
    atomic {
        f = name;
        if
        :: f == NONE -> goto attach
        :: else
        fi
    };
    if
    :: !magic[f] ->
        (magic[f] || name != f || done);
        goto attach
    :: else
    fi;
    last = notify[f];
    known = epoch[f];
    assert(known > 0);
    if
    :: stale[f] ->
        (name != f || done);
        goto attach
    :: else
    fi;
look:
    assert(epoch[f] >= known);
    known = epoch[f];
    if
    :: known == TURNS -> goto finish
    :: else
    fi;
    if
    :: stale[f] ->
        (name != f || done);
        goto attach
    :: else
    fi;
    seen = notify[f];
    if
    :: seen != last -> last = seen; goto look
    :: else
    fi;
    atomic {
        if
        :: notify[f] == seen -> asleep = true; sleeps_on = f
        :: else
        fi
    };
    (!asleep);
    sleeps_on = NONE;
    last = notify[f];
    goto look;
finish:
    assert(!stale[f]);
    assert(name == f)
}
