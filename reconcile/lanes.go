package reconcile

import "backstop/state"

// lanes shares the attempts between the two lanes: four live to one old.
type lanes struct{ turn int }

const liveTurns = 4

// next is the lane to prefer for the coming attempt.
func (l *lanes) next() state.Lane {
	if l.turn == liveTurns {
		return state.Old
	}
	return state.Live
}

// took moves on after an attempt was claimed.
func (l *lanes) took() { l.turn = (l.turn + 1) % (liveTurns + 1) }
