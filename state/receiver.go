package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Receiver is what was learned about the receiver as a whole. Its zero value is a receiver of which nothing is known.
type Receiver struct {
	OKSeq         uint64    `json:"ok_seq,omitempty"` // number of the last attempt that got a 2xx
	OKID          string    `json:"ok_id,omitempty"`  // its event
	OKAt          time.Time `json:"ok_at,omitzero"`
	Refusals      []string  `json:"refusals,omitempty"`      // events of the running streak of 4xx answers
	Misconfigured string    `json:"misconfigured,omitempty"` // why; "": it is fine
	Since         time.Time `json:"since,omitzero"`          // misconfigured since
	NextProbe     time.Time `json:"next_probe,omitzero"`
	Probes        int       `json:"probes,omitempty"`
	Paused        string    `json:"paused,omitempty"` // why; "": not paused
	PausedAt      time.Time `json:"paused_at,omitzero"`
	PausedBy      string    `json:"paused_by,omitempty"`
	Overruled     bool      `json:"overruled,omitempty"` // a person resumed what backstop itself had paused; it does not pause for that again
}

// clone shares nothing with r.
func (r Receiver) clone() Receiver {
	r.Refusals = slices.Clone(r.Refusals)
	return r
}

// Receiver returns a copy of what is known about the receiver.
func (s *Store) Receiver() Receiver { return s.settings().receiver.clone() }

// PausedByBackstop is who paused, or cancelled a run, where no person did.
const PausedByBackstop = "backstop"

// Pause stops replaying until Resume, because a person says so: the newest word of a person stands. was is the receiver as it
// was known before.
//
// A crash before the commit leaves replaying as it was; the person has no answer and asks again.
func (s *Store) Pause(now time.Time, why, who string) (was Receiver, err error) {
	err = s.receiverAct("pause replaying", func(t *tx, r *Receiver) error {
		was = r.clone()
		return t.pause(now, r, why, who)
	})
	return was, err
}

// PauseItself is a Pause by backstop, which leaves an earlier one as it is.
func (s *Store) PauseItself(now time.Time, why string) error {
	return s.receiverAct("pause replaying", func(t *tx, r *Receiver) error {
		if r.Paused != "" {
			return nil
		}
		return t.pause(now, r, why, PausedByBackstop)
	})
}

func (t *tx) pause(now time.Time, r *Receiver, why, who string) error {
	r.Paused, r.PausedAt, r.PausedBy = why, now.UTC(), who
	return t.noteAct(now, ManualAct{Who: who, What: "pause", Why: why})
}

// Resume starts replaying again, also after the receiver was found misconfigured: who resumes says that it was seen to. was is
// the receiver as it was known before; where it was neither paused nor misconfigured there was nothing to do.
func (s *Store) Resume(now time.Time, why, who string) (was Receiver, err error) {
	err = s.receiverAct("resume replaying", func(t *tx, r *Receiver) error {
		was = r.clone()
		if r.Paused == "" && r.Misconfigured == "" {
			return nil
		}
		*r = Receiver{OKSeq: r.OKSeq, OKID: r.OKID, OKAt: r.OKAt, Overruled: r.Overruled || r.PausedBy == PausedByBackstop}
		return t.noteAct(now, ManualAct{Who: who, What: "resume", Why: why})
	})
	return was, err
}

func (s *Store) receiverAct(doing string, fn func(*tx, *Receiver) error) error {
	err := s.update(false, func(t *tx) error {
		r, err := t.receiver()
		if err != nil {
			return err
		}
		if err := fn(t, &r); err != nil {
			return err
		}
		return t.storeReceiver(r)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// receiver reads the record as this transaction sees it.
func (t *tx) receiver() (Receiver, error) {
	var r Receiver
	payload, ok, err := t.get(t.bucket(bucketMeta), []byte(metaReceiver))
	if err != nil || !ok {
		return r, err
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		return r, fmt.Errorf("read the receiver's record: %w", err)
	}
	return r, nil
}

// setReceiver stores what an attempt taught about the receiver. A pause is not its to change: a person may have paused or
// resumed while the attempt was under way.
func (t *tx) setReceiver(r Receiver) error {
	stored, err := t.receiver()
	if err != nil {
		return err
	}
	r.Paused, r.PausedAt, r.PausedBy, r.Overruled = stored.Paused, stored.PausedAt, stored.PausedBy, stored.Overruled
	return t.storeReceiver(r)
}

func (t *tx) storeReceiver(r Receiver) error {
	payload, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the receiver's record: %w", err)
	}
	if stored, _, err := t.get(t.bucket(bucketMeta), []byte(metaReceiver)); err == nil && string(stored) == string(payload) {
		return nil
	}
	r = r.clone()
	t.after(func() { t.s.change(func(m *settings) { m.receiver = r }) })
	return t.putMeta(metaReceiver, payload)
}

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
