package doctor

import "cmp"

// Configuration is what the reading of the configuration gave, in words that say
// where and what.
type Configuration struct {
	File     string // "": none was found
	Mistakes []string
	Missing  []string // values that are written and can't be had: a variable, a secret's file
	Warnings []string
	Daemon   bool // a daemon runs, with a configuration and an environment of its own
}

const configuration = "configuration"

// Judge gives a line for everything that is wrong.
func (c Configuration) Judge() []Check {
	where := cmp.Or(c.File, "the environment")
	var all []Check
	for _, text := range c.Mistakes {
		all = append(all, fail(configuration, "correct it in "+where+"; `backstop config check` looks again", "%s", text))
	}
	for _, text := range c.Missing {
		all = append(all, c.missing(text))
	}
	for _, text := range c.Warnings {
		all = append(all, warn(configuration, "change it in "+where+"; `backstop config check` looks again", "%s", text))
	}
	if len(all) > 0 {
		return all
	}
	if c.File == "" {
		return []Check{ok(configuration, "no file: defaults and the environment")}
	}
	return []Check{ok(configuration, "%s is right", c.File)}
}

// missing judges a value that can't be had here. The daemon may have it all the
// same, from a unit's environment or as another user.
func (c Configuration) missing(text string) Check {
	if c.Daemon {
		return warn(configuration, "nothing, if only the daemon is to have it; else set it here, too", "%s (here: the daemon has its own environment)", text)
	}
	return fail(configuration, "set the variable, or make the file readable for the user that runs backstop", "%s", text)
}
