package simulate

import (
	"fmt"
	"math/rand/v2"
)

// Fate is what becomes of the push of an event.
type Fate uint8

// The fates. The zero value lets the shares of the options decide.
const (
	Drawn     Fate = iota
	NoPush         // there is none: history, a twin, or no endpoint
	Prompt         // sent at once
	Late           // sent LateBy later
	Doubled        // sent twice at once
	NeverSent      // lost: HeyGen forgets it
	Dropped        // lost: something on the way answers 200 and drops the body
	Refused        // lost: the receiver is out of reach at every try
	GaveUp         // lost: sent, and the receiver never answered 2xx
)

// fateNames are the words for fates in JSON, by value.
func fateNames() [9]string {
	return [9]string{"drawn", "none", "prompt", "late", "doubled", "never_sent", "dropped", "refused", "gave_up"}
}

// String returns the word that JSON uses.
func (f Fate) String() string {
	if names := fateNames(); int(f) < len(names) {
		return names[f]
	}
	return fmt.Sprintf("fate(%d)", uint8(f))
}

// MarshalText writes the word.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads one of the words that String gives, "" (drawn), or "lost" (never_sent).
func (f *Fate) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*f = Drawn
		return nil
	case "lost":
		*f = NeverSent
		return nil
	}
	for i, word := range fateNames() {
		if word == string(text) && Fate(i) != GaveUp {
			*f = Fate(i)
			return nil
		}
	}
	return fmt.Errorf("push %q is none of drawn, none, prompt, late, doubled, lost, never_sent, dropped, refused", text)
}

// Lost reports whether the push never reached the receiver.
func (f Fate) Lost() bool { return f >= NeverSent }

// fate draws what becomes of a push.
func (o Options) fate(r *rand.Rand) Fate {
	u, way := r.Float64(), r.IntN(3)
	switch {
	case u < o.Lost:
		return [3]Fate{NeverSent, Dropped, Refused}[way]
	case u < o.Lost+o.Late:
		return Late
	case u < o.Lost+o.Late+o.Doubled:
		return Doubled
	}
	return Prompt
}
