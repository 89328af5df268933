/* What `gorun-mem bench machine` measures: one line "name ns" each, in the names of a cost table.
   Linux only, for its futexes and bound threads. Each loop's least of several turns counts. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() atomic_signal_fence(memory_order_seq_cst)
#endif

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}
static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static long futex(atomic_int *word, int op, int value) {
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}
static int cpus[1024], ncpus;
static void bind(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static _Alignas(128) atomic_long word;
static _Alignas(128) atomic_uchar byte;
static volatile long plain;

#define LEAST(name, turns, count, statement)                 \
    do {                                                     \
        double least = 1e18;                                 \
        for (int turn = 0; turn < (turns); turn++) {         \
            double start = now();                            \
            for (long i = 0; i < (count); i++) { statement; } \
            double each = (now() - start) / (count);         \
            if (each < least) least = each;                  \
        }                                                    \
        printf("%s %.4g\n", name, least);                    \
    } while (0)

/* Two bound threads hand a word to and fro: ns a way. */
static _Alignas(128) atomic_int turn_of;
struct side { int cpu, me; long rounds; };
static void *hand_over(void *arg) {
    struct side *side = arg;
    bind(side->cpu);
    for (long i = 0; i < side->rounds; i++) {
        while (atomic_load(&turn_of) != side->me) PAUSE();
        atomic_store(&turn_of, !side->me);
    }
    return NULL;
}
static double way(int a, int b) {
    struct side sides[2] = {{a, 0, 5000}, {b, 1, 5000}};
    pthread_t threads[2];
    atomic_store(&turn_of, 0);
    double start = now();
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, hand_over, &sides[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return (now() - start) / 10000;
}

/* Threads add to one word: how many additions in a row are one thread's. */
static atomic_long runs, additions;
static void *add(void *arg) {
    bind((int)(long)arg);
    long last = -2, mine = 0;
    for (long i = 0; i < 200000; i++) {
        long before = atomic_fetch_add(&word, 1);
        mine += before != last + 1;
        last = before;
    }
    atomic_fetch_add(&runs, mine);
    atomic_fetch_add(&additions, 200000);
    return NULL;
}

/* One sleeps on a futex, the other wakes it after 20 us. */
static atomic_int sleeping;
static volatile double called, back[4000], calls[4000];
static void *sleeper(void *arg) {
    bind((int)(long)arg);
    for (int i = 0; i < 4000; i++) {
        atomic_store(&sleeping, 1);
        while (atomic_load(&sleeping) == 1) futex(&sleeping, FUTEX_WAIT, 1);
        back[i] = now() - called;
        atomic_store(&sleeping, 2);
    }
    return NULL;
}

int main(void) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < 1024; cpu++)
        if (CPU_ISSET(cpu, &set)) cpus[ncpus++] = cpu;
    bind(cpus[0]);
    long expected = 0;
    LEAST("atomic.load", 5, 1000000, plain = atomic_load(&word));
    LEAST("atomic.store", 5, 1000000, atomic_store(&word, i));
    LEAST("atomic.cas", 5, 1000000, expected = atomic_load_explicit(&word, memory_order_relaxed);
          atomic_compare_exchange_strong(&word, &expected, expected + 1));
    LEAST("atomic.xchg", 5, 1000000, plain = atomic_exchange(&word, i));
    LEAST("atomic.xchg8", 5, 1000000, plain = atomic_exchange(&byte, (unsigned char)i));
    LEAST("atomic.add", 5, 1000000, plain = atomic_fetch_add(&word, 1));
    LEAST("atomic.or8", 5, 1000000, atomic_fetch_or(&byte, 2));
    LEAST("touch", 5, 1000000, plain = i);
    LEAST("procyield", 20, 2000, for (int n = 0; n < 30; n++) PAUSE());
    LEAST("osyield", 20, 2000, sched_yield());
    atomic_int other = 0;
    LEAST("futex.look", 20, 2000, futex(&other, FUTEX_WAIT, 1));
    LEAST("futexwakeup", 20, 2000, futex(&other, FUTEX_WAKE, 1));
    static char buffer[1 << 20];
    LEAST("clear.mib", 20, 20, memset(buffer, (int)i, sizeof buffer); plain = buffer[i]);
    size_t size = 16 << 20;
    double least = 1e18;
    for (int turn = 0; turn < 3; turn++) {
        char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(p, size, MADV_NOHUGEPAGE);
        double start = now();
        for (size_t i = 0; i < size; i += 4096) p[i] = 1;
        double each = (now() - start) / (size / 4096);
        if (each < least) least = each;
        munmap(p, size);
    }
    printf("page.touch %.4g\n", least);
    LEAST("grow_call", 3, 200, if (sbrk(65536) == (void *)-1) return 1);

    static double gaps[100000];
    int found = 0;
    double start = now(), last = start;
    while (last < start + 3e8 && found < 100000) {
        double t = now();
        if (t - last > 1000) gaps[found++] = t - last;
        last = t;
    }
    if (found > 10) {
        qsort(gaps, found, sizeof *gaps, ascending);
        printf("interrupt %.4g\ninterrupt.every %.4g\n", gaps[found / 2], (last - start) / found);
    }
    if (ncpus < 2) return 0;

    int most = ncpus < 6 ? ncpus : 6, pairs = 0;
    double sum = 0, low = 1e18, high = 0;
    for (int a = 0; a < most; a++)
        for (int b = a + 1; b < most; b++) {
            double ns = 1e18;
            for (int turn = 0; turn < 5; turn++) {
                double once = way(cpus[a], cpus[b]);
                if (once < ns) ns = once;
            }
            sum += ns, pairs++;
            if (ns < low) low = ns;
            if (ns > high) high = ns;
        }
    printf("line.fetch %.4g\nline.spread %.4g\n", sum / pairs, (high - low) / 2);
    int adders = ncpus < 8 ? ncpus : 8;
    pthread_t threads[8];
    for (int i = 0; i < adders; i++) pthread_create(&threads[i], NULL, add, (void *)(long)cpus[i]);
    for (int i = 0; i < adders; i++) pthread_join(threads[i], NULL);
    printf("additions.in.a.row %.4g\n", (double)additions / (runs > 0 ? runs : 1));

    pthread_create(&threads[0], NULL, sleeper, (void *)(long)cpus[1]);
    int n = 0;
    for (; n < 4000; n++) {
        while (atomic_load(&sleeping) != 1) PAUSE();
        for (double until = now() + 20000; now() < until;) PAUSE();
        called = now();
        atomic_store(&sleeping, 0);
        futex(&sleeping, FUTEX_WAKE, 1);
        calls[n] = now() - called;
        while (atomic_load(&sleeping) != 2 && atomic_load(&sleeping) != 1) PAUSE();
    }
    pthread_join(threads[0], NULL);
    qsort((void *)back, n, sizeof(double), ascending);
    qsort((void *)calls, n, sizeof(double), ascending);
    printf("wake.p10 %.5g\nwake.p50 %.5g\nwake.p90 %.5g\nwake.call.p50 %.5g\n", back[n / 10],
           back[n / 2], back[n * 9 / 10], calls[n / 2]);
    return 0;
}
