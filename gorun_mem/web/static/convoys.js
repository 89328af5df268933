// Convoys among the lock events that are heard: a queue that outlasts the hold that formed it, which
// Ms come to join after that hold has ended. The words are those of `gorun-mem explain convoy`.

const [WAIT, ACQUIRE, RELEASE] = [0, 1, 2], SHOWN_MS = 4000;

export class Convoys {
  constructor() { this.queues = new Map(); this.seen = new Map(); }

  take({ gap, events }) {
    if (gap) this.queues.clear(); // who came meanwhile is not known
    for (const [kind, t, m, lock] of events) {
      const queue = this.queues.get(lock) || { waiting: new Set(), formed: 0, holds: 0, ms: new Set(), joined: false };
      this.queues.set(lock, queue);
      if (kind === WAIT) {
        if (!queue.waiting.size) Object.assign(queue, { formed: t, holds: 0, ms: new Set(), joined: false });
        else if (queue.holds) queue.joined = true;
        queue.waiting.add(m);
        queue.ms.add(m);
      } else if (kind === ACQUIRE) queue.waiting.delete(m);
      else if (kind === RELEASE && queue.waiting.size) queue.holds += 1;
      if (queue.joined && queue.waiting.size) this.seen.set(lock, { ms: queue.ms.size, holds: queue.holds, ns: t - queue.formed, at: performance.now() });
    }
  }

  // The convoy that was seen last behind a lock, as long as it is news.
  of(lock) {
    const found = this.seen.get(lock);
    return found && performance.now() - found.at < SHOWN_MS ? found : null;
  }
}
