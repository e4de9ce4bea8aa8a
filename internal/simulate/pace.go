package simulate

import (
	"math/rand/v2"
	"time"
)

// pace says when the next event happens: at random, Rate times a second on average.
type pace struct {
	next time.Time // zero: never
	rate float64
	r    *rand.Rand
}

func newPace(o Options, now time.Time) *pace {
	p := &pace{rate: o.Rate, r: draws(o.Seed, streamRate, 0)}
	if o.Rate > 0 {
		p.next = now
		p.step()
	}
	return p
}

func (p *pace) step() {
	p.next = p.next.Add(time.Duration(p.r.ExpFloat64() / p.rate * float64(time.Second)))
}

// makeDue makes every event whose time has come.
func (w *World) makeDue(p *pace, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !p.next.IsZero() && !p.next.After(now) {
		if w.o.Stop > 0 && w.made >= w.o.Stop {
			p.next = time.Time{}
			return
		}
		w.createLocked(Recipe{}, now)
		w.made++
		p.step()
	}
}

// Done reports whether Run has made all its events and nothing is on its way any more: what
// is not delivered by now is lost. Without Stop it is never done.
func (w *World) Done() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.o.Stop > 0 && w.made >= w.o.Stop && len(w.queue) == 0 && w.flying == 0
}
