"""How far the simulation of contended locks is from a real machine, and what it was made from.

The mutexes of Go were measured on a machine with 16 CPUs (x86-64, a virtual machine, one thread a
core, Linux 6.18): the real lock2 and unlock2 of lock_sema.go, lock_futex.go (go1.23.9) and
lock_spinbit.go (go1.24.11, go1.27.3), 1 to 16 threads, holds and pauses from nothing to some us,
and BenchmarkChanContended. `gorun-mem bench calibration` runs each of these loads in the simulator
and says by what factor the two differ: throughput, waits (p50, p99), fairness (Jain's index), how
many acquisitions in a row are one thread's. A second pass of the same measurement differs from the
first by 1.08 to 1.10, 1.14 to 1.25, 1.19 to 1.28, 1.01 to 1.03 and 1.05 to 1.06 times, which is the
floor.

What is measured: the cost table `server-16` (gorun_mem/costs/server-16.toml) has every figure with
the measurement it comes from.

What varies, each with what was seen; `without = ["keep"]` in a cost table switches one off:

    migrate     a read of a line that its owner has written takes the line over. Two CPUs that hand
                a word to and fro take 77 ns a way by load and swap, 71 by compare-and-swap: no
                second transfer for the write. Without it whoever unlocks and locks at once always
                wins against who looks; really a look wins about as often as it finds the lock free.
    keep        an owner goes on with a line for a time that is exponential, 11 ns on average, and
                not half the way of the request. CPUs that add to one word make 1.65 (4 CPUs) to
                2.06 (8) additions in a row. Without it a line that many want is a perfect queue,
                and a lock held for less than half a way is never seen taken.
    spins       30 PAUSEs take 504 to 651 ns in the middle four fifths of all cases, yields and
                calls vary likewise; without it Ms fall into step.
    wakes       a woken thread is back after 4.7 to 6.0 us, and in one of 100 cases after 10.5.
    interrupts  1.4 times in a ms a CPU is away for more than 1 us, 8.5 us as the median. Without
                them two Ms that pass a lock to and fro may do so for ever while others sleep.

And constant: futexsleep looks at the word 240 ns after it was called, for which a lock that is held
briefly is free and taken again, so that the sleep does not happen; the call that wakes somebody
takes the waker 1.4 us, in which the lock is free and the sleeper is on its way.

What is fitted: line.fetch (84 ns; 71 to 78 were measured on an idle machine), line.keep,
line.share, line.invalidate, wake.least, semasleep, and the part of a round's own instructions that
lies under the lock (`load.IN_HOLD`). What the model consists of, and near which values, was chosen
with all of the loads in view; steps of one value at a time on the half for which crc32 of "hold
think threads" is even then found nothing better. So the other half is no clean test of it, and
loads, releases and machines that are not among them are the better judges. Nothing is set for one
mutex, release or load.

What is missing, as the points that are furthest off show: spinbit where 8 or 16 threads are bound
to 4 CPUs (see `measured`). There the one M that may spin waits for the CPU of the lock's owner, and
how soon the kernel lets it run decides everything; the model has a time slice and nothing finer.
The data would need the kernel's own record of who ran when. And sema's and futex's throughput with
16 threads are off in opposite directions by up to 1.4 and 2 times: something makes a line that 16
want cheaper for swaps than for loads with compare-and-swaps.
"""
