package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// unsetError says which variable a value waits for.
type unsetError struct{ name string }

func (e unsetError) Error() string {
	return fmt.Sprintf("the environment variable %s is not set, set it or write a default: ${%s:-default}", e.name, e.name)
}

// expand puts the environment into one value: ${VAR}, ${VAR:-default} (the
// default also serves for an empty VAR, as in a shell), and $$ for a dollar. A
// dollar before anything else stays. What comes in is never read as YAML nor
// expanded again.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			m := variable.FindStringSubmatch("$" + rest)
			if m == nil {
				return "", errors.New("has a ${ that is no ${VAR} or ${VAR:-default}, write $${ for the characters themselves")
			}
			value, ok := env(m[1])
			hasDefault := m[2] != ""
			switch {
			case hasDefault && value == "":
				value = m[3]
			case !ok:
				return "", unsetError{m[1]}
			}
			b.WriteString(value)
			text = rest[len(m[0])-1:]
		default:
			b.WriteByte('$')
			text = rest
		}
	}
}
