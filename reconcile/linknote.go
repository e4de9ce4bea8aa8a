package reconcile

import (
	"fmt"
	"regexp"
	"strings"

	"backstop/internal/heygen"
)

// asTheyAre is the note of an event whose expired links are sent as they are.
func asTheyAre(why string) string { return "links expired, sent as they are: " + why }

// renewalNote tells people what became of the links of an event.
func renewalNote(r heygen.Renewal) string {
	if len(r.ByPath)+len(r.ByName) == 0 {
		return asTheyAre("there is no fresh link for " + fields(r.Kept))
	}
	n := len(r.ByPath) + len(r.ByName)
	note := fmt.Sprintf("%d links renewed (%s)", n, joinFields(r))
	if n == 1 {
		note = "1 link renewed (" + joinFields(r) + ")"
	}
	if len(r.Kept) > 0 {
		note += "; no fresh link for " + fields(r.Kept) + ", sent as it was"
	}
	return note
}

func joinFields(r heygen.Renewal) string {
	var parts []string
	for _, list := range []struct {
		names []string
		how   string
	}{{r.ByPath, " by path"}, {r.ByName, " by name"}} {
		if len(list.names) > 0 {
			parts = append(parts, fields(list.names)+list.how)
		}
	}
	return strings.Join(parts, ", ")
}

// fieldsShown is how many fields a note names.
const fieldsShown = 5

// fields joins names of fields.
func fields(names []string) string {
	var shown []string
	for _, name := range names[:min(len(names), fieldsShown)] {
		shown = append(shown, plainField(name))
	}
	text := strings.Join(shown, " and ")
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Names and words that come from outside are shown only where they look like
// what they should be.
var (
	fieldName  = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,80}$`)
	statusWord = regexp.MustCompile(`^[A-Za-z_]{1,30}$`)
)

func plainField(name string) string {
	if fieldName.MatchString(name) {
		return name
	}
	return "another field"
}

func plainStatus(status string) string {
	if statusWord.MatchString(status) {
		return status
	}
	return "not complete"
}

func statusOf(e *heygen.Error) string {
	if e.Status == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d)", e.Status)
}
