"""The emulated Go runtime: no trio, no files, no printing, no clock of its own.

Which file stands for which of Go's, in src/runtime there. mem_sbrk.go and malloc.go are large, or
hold what belongs to several things here, and have several files; some of ours have several of Go's,
for Go has a file a platform where here a class or the release decides.

    file            Go's                                    of it
    mem_sbrk        mem_sbrk.go                             sysAllocOS and the other calls
    freewalk        mem_sbrk.go                             memHdr, memFree, memCheck, by walking
    freelist        mem_sbrk.go                             memAlloc and memFree, by an index
    brk             mem_sbrk.go, mem_wasm.go, mem_plan9.go  initBloc, memRound, sbrk
    mem_js          mem_js.go                               the calls on wasm up to 1.20
    memory          sys_wasm.s, sys_plan9_*.s               growMemory, brk_
    mem             mem.go, malloc.go                       sysAlloc and its like; region states
    mstats          mstats.go                               sysMemStat
    mheap           malloc.go                               (*mheap).sysAlloc, arena hints
    mallocinit      malloc.go, mpagealloc_*.go              mallocinit, (*pageAlloc).sysInit
    persistent      malloc.go                               persistentalloc, linearAlloc
    mfixalloc       mfixalloc.go                            fixalloc
    boot            os_js.go, os_wasm.go, os_plan9.go       osinit
    m               runtime2.go                             what the locks keep in an m
    mutex/          lock_js.go, lock_wasip1.go, lock_sema.go, lock_futex.go, lock_spinbit.go

Go has nothing like these: what differs between releases is in `behaviour`, what an M can be about
to do in `op` and `kinds`.

    access  behaviour  by_file  call  errors  fnv  fnv_halves  freeindex  kinds  ledger
    linear_memory  nil_answers  op  oslayer  pages  purposes  rangemap  sink  sources  wide  ranges
"""
