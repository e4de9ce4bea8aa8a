package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// Notice is one message, as it is sent in JSON.
type Notice struct {
	Text      string         `json:"text"` // one or two sentences, and what to do
	Condition string         `json:"condition"`
	State     string         `json:"state"` // alarm, again, recovered
	Since     time.Time      `json:"since,omitzero"`
	Until     time.Time      `json:"until,omitzero"`
	Cause     string         `json:"cause,omitempty"`
	Why       string         `json:"why,omitempty"`
	Count     int            `json:"count"`           // of events
	Times     int            `json:"times,omitempty"` // how often it came since the last notice, where that is more than once
	Types     map[string]int `json:"types,omitempty"`
	Receiver  string         `json:"receiver,omitempty"`
	Version   string         `json:"version,omitempty"`
	Hint      string         `json:"hint"`
}

// compose writes the notice of a condition.
func compose(a state.Alarm, c condition, what string, r Report, version string) Notice {
	n := Notice{
		Condition: c.name, State: what, Since: a.Since.UTC(), Cause: c.cause, Why: c.why, Count: c.count, Times: a.Times,
		Types: c.news.Types, Receiver: r.Receiver, Version: version, Hint: hint(c, r),
	}
	if c.news.Count > 0 {
		n.Count = c.news.Count
	}
	if n.Times == 1 {
		n.Times = 0 // that goes without saying
	}
	if what == Recovered {
		n.Until, n.Cause, n.Why, n.Hint = a.Ended.UTC(), a.Cause, "", closer
		if c.name == Replayed || c.name == Dead {
			n.Count = a.Total + c.news.Count
		}
	}
	text := sentence(c, n, a)
	switch {
	case what == Recovered && !a.Open && a.Times <= 1:
		text += untold(a)
	case a.Times > 1 && what == Recovered:
		text += fmt.Sprintf(" It came and went %d times since the last notice.", a.Times)
	case a.Times > 1:
		text += fmt.Sprintf(" It came back %d times since the last notice.", a.Times)
	}
	n.Text = "backstop: " + text + " " + n.Hint
	return n
}

// sentence says what happened.
func sentence(c condition, n Notice, a state.Alarm) string {
	if n.State == Recovered {
		return ending(n, a)
	}
	switch c.name {
	case Replayed:
		return replayedSentence(c, n)
	case Dead:
		if c.news.Count == 0 {
			return fmt.Sprintf("%s dead: replaying gave up.", are(c.count))
		}
		return fmt.Sprintf("%s died%s: replaying gave up. %s dead now.", events(n.Count), typesText(n.Types), are(c.count))
	case Paused:
		return fmt.Sprintf("replaying stands still: %s.%s", c.why, waiting(c.count))
	case Unreadable:
		return fmt.Sprintf("HeyGen's listing can't be read: %s.", c.why)
	case Source:
		return fmt.Sprintf("a source can't tell what the receiver has (%s). What nothing else proves is not sent meanwhile.", c.why)
	}
	return fmt.Sprintf("the state takes nothing new in: %s.", c.why)
}

func replayedSentence(c condition, n Notice) string {
	if c.news.Count == 0 {
		return "HeyGen's pushes go on missing." // it changed while nothing was replayed
	}
	more := ""
	if n.State == Again {
		more = " more"
	}
	text := fmt.Sprintf("HeyGen's pushes of %d%s %s did not arrive%s", n.Count, more, noun(n.Count), typesText(n.Types))
	if !c.news.Oldest.IsZero() {
		text += ", the oldest of " + stamp(c.news.Oldest)
	}
	return text + "; backstop delivered them." + waiting(c.count)
}

// ending says what is over, how long it lasted, and how many events it was about.
func ending(n Notice, a state.Alarm) string {
	lasted := a.Ended.Sub(a.Since).Round(time.Second)
	switch n.Condition {
	case Replayed:
		return fmt.Sprintf("pushes arrive again as far as backstop can tell: nothing had to be replayed since %s. Before, %s had to be, over %s.",
			stamp(a.Ended), events(n.Count), lasted)
	case Dead:
		if n.Count == 0 { // they had died before anybody was to be told
			return fmt.Sprintf("no event is dead any more, after %s.", lasted)
		}
		return fmt.Sprintf("no event is dead any more, after %s; %d had died.", lasted, n.Count)
	case Paused:
		return fmt.Sprintf("replaying goes on, after it stood still for %s.%s", lasted, waiting(n.Count))
	case Unreadable:
		return fmt.Sprintf("HeyGen's listing is read again, after %s. What was listed meanwhile is not lost.", lasted)
	case Source:
		return fmt.Sprintf("every source answers again, after %s.", lasted)
	}
	return fmt.Sprintf("the state has room again, after %s.", lasted)
}

// untold is a sentence on what was over before anybody was told that it had begun:
// the way to people failed, or it was within the cool-down.
func untold(a state.Alarm) string {
	cause := ""
	if a.Cause != "" {
		cause = " (" + a.Cause + ")"
	}
	return fmt.Sprintf(" It lasted from %s to %s%s; no alarm of it was delivered.", stamp(a.Since), stamp(a.Ended), cause)
}

const closer = "Look closer: `backstop status`."

// hint says what to do.
func hint(c condition, r Report) string {
	switch c.name {
	case Replayed:
		if !c.news.Oldest.IsZero() {
			return fmt.Sprintf("Look closer: `backstop events --proof replay --since %s`.", stamp(c.news.Oldest))
		}
	case Dead:
		return deadHint(c, r)
	case Paused:
		return pausedHint(c.cause)
	case Unreadable:
		if c.cause == Credentials {
			return "Check heygen.api_key, then `backstop status`."
		}
		return "It is tried again by itself; look closer: `backstop status`."
	case Source:
		return "Mend it or take it out of seen; look closer: `backstop status`."
	case Full:
		return "Make room or raise state.max_size; look closer: `backstop status`."
	}
	return closer
}

// deadHint names the event where it is a single one.
func deadHint(c condition, r Report) string {
	id := ""
	if c.count == 1 && r.OnlyDead != nil {
		id = heygen.Clean(r.OnlyDead())
	}
	if id == "" {
		return "See why: `backstop events --status dead`; then `backstop replay --dead` or `backstop ignore ID`."
	}
	return fmt.Sprintf("See why: `backstop explain %s`; then `backstop replay %s` or `backstop ignore %s`.", id, id, id)
}

func pausedHint(cause string) string {
	switch cause {
	case ByPerson:
		return "Go on with `backstop resume`."
	case ByIDs:
		return "See to it (`backstop status`), then `backstop resume`."
	case Misconfigured:
		return "Mend that, then `backstop resume` tries it at once; without it the next probe does."
	case Failing:
		return "Nothing is lost: it goes on by itself when the receiver works. Look closer: `backstop status`."
	}
	return closer
}

// typesText names the most frequent event types.
func typesText(types map[string]int) string {
	if len(types) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(types), func(a, b string) int {
		if d := types[b] - types[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	const most = 3
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%d %s", types[name], heygen.Clean(name)))
	}
	if len(names) > most {
		parts = append(parts, "…")
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func noun(n int) string {
	if n == 1 {
		return "event"
	}
	return "events"
}

func events(n int) string { return fmt.Sprintf("%d %s", n, noun(n)) }

func are(n int) string {
	if n == 1 {
		return "1 event is"
	}
	return events(n) + " are"
}

// waiting is a sentence on the events that are to be replayed; "" for none.
func waiting(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " 1 event waits."
	}
	return " " + events(n) + " wait."
}

// encode writes JSON as people read it, too: nothing of it goes into HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// forSlack is what Slack and its likes read: three characters are markup there.
func (n Notice) forSlack() ([]byte, error) {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(n.Text)
	return encode(map[string]string{"text": escaped})
}
