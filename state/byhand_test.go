package state

import "time"

// queueByHand has events sent as a run by their ids does, in one transaction.
func queueByHand(s *Store, now time.Time, ids []string, who string) ([]Requeued, error) {
	return s.byHand(now, ids, ManualAct{Who: who, What: "replay"}, func(t *tx, old, r *record) (string, error) {
		return t.requeue(now, requeue{who: who, act: t.nextAct()})(t, old, r)
	})
}
