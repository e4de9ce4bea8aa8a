package state

import "time"

// Filter chooses events. The zero Filter chooses all.
type Filter struct {
	Status []Status // empty: any
	Type   []string // empty: any
	Entity string
	Since  time.Time // inclusive; zero: no bound
	Until  time.Time // exclusive; zero: no bound
	Limit  int       // 0: all
}

// Counts are the numbers of events by status. Status[Seen] includes baseline
// and imports.
type Counts struct {
	Status       map[Status]int64
	Baseline     int64     // of the seen ones, those older than the first run
	Quarantined  int64     // rows that could not be read
	Unlisted     int64     // reported ids that were not listed yet
	Credits      int64     // anonymous pushes that account for no event yet
	OldestMissed time.Time // created_at of the oldest missed or replaying event; zero: none
}
