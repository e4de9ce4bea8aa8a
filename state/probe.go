package state

import "time"

// ProbeSoon lets a receiver that was found misconfigured be tried at once: what it takes may be another thing now.
//
// A crash before the commit leaves the probe at its time.
func (s *Store) ProbeSoon(now time.Time) error {
	if r := s.settings().receiver; r.Misconfigured == "" || !r.NextProbe.After(now) {
		return nil
	}
	return s.receiverAct("probe", func(_ *tx, r *Receiver) error {
		r.NextProbe = now
		return nil
	})
}
