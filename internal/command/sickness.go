package command

import (
	"errors"
	"strings"

	"backstop/internal/config"
	"backstop/internal/doctor"
)

// sickness is a configuration as doctor takes it: what is wrong with it, and what
// of it can be used.
type sickness struct {
	found  doctor.Configuration
	parts  map[string]bool // that have a mistake or miss a value
	usable *config.Config  // those parts are at their defaults
}

func sicknessOf(cfg *config.Config, warnings []config.Warning, err error) sickness {
	s := sickness{parts: map[string]bool{}, usable: cfg}
	note := func(err error, into *[]string) {
		var several *config.Errors
		if errors.As(err, &several) {
			for _, m := range several.Mistakes {
				*into = append(*into, m.String())
				s.parts[partOf(m.Key)] = true
			}
		}
	}
	note(err, &s.found.Mistakes)
	for _, w := range warnings {
		s.found.Warnings = append(s.found.Warnings, w.String())
	}
	if cfg == nil { // no YAML: nothing of it can be used
		s.usable = config.Default()
		for _, part := range []string{"heygen", "receiver", "seen", "state", "admin", "notify"} {
			s.parts[part] = true
		}
		return s
	}
	note(cfg.Need(), &s.found.Missing)
	s.reset()
	return s
}

// partOf is the part of the configuration in which a key lies.
func partOf(key string) string {
	part, _, _ := strings.Cut(key, ".")
	part, _, _ = strings.Cut(part, "[")
	return part
}

// reset takes the parts with mistakes out of use: half a part could do the wrong
// thing.
func (s *sickness) reset() {
	usable, fresh := *s.usable, config.Default()
	s.usable = &usable
	for part, reset := range map[string]func(){
		"heygen":    func() { usable.Heygen = fresh.Heygen },
		"receiver":  func() { usable.Receiver = fresh.Receiver },
		"schedule":  func() { usable.Schedule = fresh.Schedule },
		"reconcile": func() { usable.Reconcile = fresh.Reconcile },
		"seen":      func() { usable.Seen = nil },
		"replay":    func() { usable.Replay = fresh.Replay },
		"state":     func() { usable.State = fresh.State },
		"control":   func() { usable.Control = fresh.Control },
		"admin":     func() { usable.Admin = fresh.Admin },
		"notify":    func() { usable.Notify = fresh.Notify },
		"log":       func() { usable.Log = fresh.Log },
	} {
		if s.parts[part] {
			reset()
		}
	}
}
