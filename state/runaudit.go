package state

// resends counts what waits in forced and shadow runs, and reports what belongs to no run, or to one that has ended.
func (a *auditor) resends() {
	a.subs(bucketResends, func(id uint64, r Run, ok bool) {
		n := 0
		a.all(bucketResends, a.t.sub(bucketResends, id), func(_, _ []byte) { n++ })
		a.runs[id] += int64(n)
		if !ok || n > 0 && !r.Ended.IsZero() {
			a.problem(bucketResends, appendNumber(nil, id), "it holds %d events of a run that is not under way", n)
		}
	})
	a.subs(bucketResent, func(id uint64, _ Run, ok bool) {
		a.all(bucketResent, a.t.sub(bucketResent, id), func(_, _ []byte) {})
		if !ok {
			a.problem(bucketResent, appendNumber(nil, id), "there is no such run")
		}
	})
}

// subs calls fn with each run that has a bucket of its own; ok is false where there is no such run.
func (a *auditor) subs(name string, fn func(id uint64, r Run, ok bool)) {
	_ = a.t.bucket(name).ForEachBucket(func(key []byte) error { // fn gives no error
		r, err := a.t.run(numberAt(key))
		fn(numberAt(key), r, err == nil)
		return nil
	})
}

// counted compares what the runs say that waits with what does.
func (a *auditor) counted() {
	_ = a.t.runs(func(r Run) { // one that can't be read is reported by its checksum
		if n := a.runs[r.ID]; r.Ended.IsZero() && r.Waiting != n {
			a.problem(bucketRuns, appendNumber(nil, r.ID), "it says that %d events wait; there are %d", r.Waiting, n)
		}
	})
}

// recountRuns repairs the counters of runs after a damaged record went to the quarantine: what is gone was left.
func (t *tx) recountRuns() {
	a := &auditor{t: t, report: func(Problem) {}, runs: make(map[uint64]int64)}
	a.open()
	a.resends()
	var wrong []Run
	_ = t.runs(func(r Run) {
		if r.Ended.IsZero() && r.Waiting != a.runs[r.ID] {
			wrong = append(wrong, r)
		}
	})
	for _, r := range wrong {
		r.Left += max(0, r.Waiting-a.runs[r.ID])
		r.Waiting = a.runs[r.ID]
		_ = t.endRun(later(r.Begun, r.Ready), r) // the next damaged record, or the next check, finds it again
	}
}
