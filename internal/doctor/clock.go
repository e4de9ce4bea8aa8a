package doctor

import "time"

// clock is what one answer tells of HeyGen's clock.
type clock struct {
	sent, got time.Time // by the local clock
	date      time.Time // the answer's Date, in whole seconds; zero: it had none
}

const (
	drift     = 2 * time.Second // from where a difference is worth a word
	signedFor = 5 * time.Minute // how old a timestamp receivers allow
)

// skew bounds by how much the local clock is ahead; negative: behind. The Date is
// cut to seconds and was written somewhere between request and answer.
func (c clock) skew() (least, most time.Duration) {
	return c.sent.Sub(c.date.Add(time.Second)), c.got.Sub(c.date)
}

// judgeClock takes HeyGen's clock for right. Ahead or behind by over five minutes
// both make receivers refuse replays, for their timestamp is the local clock's.
// Behind, events are judged later than they could be; ahead, nothing is judged
// early, for of the two clocks the smaller counts.
func (k known) judgeClock() []Check {
	if k.clock.sent.IsZero() {
		return []Check{unchecked("clock", "HeyGen gave no answer to compare with")}
	}
	if k.clock.date.IsZero() {
		return []Check{warn("clock", "nothing; look at the clock yourself (`timedatectl`)", "HeyGen's answer had no Date to compare with")}
	}
	least, most := k.clock.skew()
	where, by := "ahead of", least
	if most < -least { // the middle lies behind
		where, by = "behind", -most
	}
	const remedy = "let NTP set the clock (`timedatectl set-ntp true`)"
	switch by = by.Round(time.Second); {
	case by > signedFor:
		return []Check{fail("clock", remedy, "the local clock is %s %s HeyGen's: receivers refuse replays whose timestamp is over five minutes off", by, where)}
	case by > drift:
		return []Check{warn("clock", remedy, "the local clock is %s %s HeyGen's; receivers allow five minutes", by, where)}
	}
	return []Check{ok("clock", "as HeyGen's, within %s", drift)}
}
