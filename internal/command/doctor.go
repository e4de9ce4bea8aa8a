package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/doctor"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/log"
)

func (a *app) doctorCommand() *cobra.Command {
	var request engine.DoctorRequest
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that can be checked, and say how to mend it; exit 5 when something fails",
		Long: "Checks the configuration, the key, HeyGen's listing and endpoints, the clock, the sources, the receiver,\n" +
			"the state, the daemon and who is told of trouble. Each line is ok, warn or fail, with the remedy. It writes nothing.\n\n" +
			"--send-test also sends the receiver synthetic events: a signed one twice, one with a wrong signature, one\n" +
			"with an old timestamp. Their type is " + doctor.TestType + " unless --event-type names one; a receiver acts on a\n" +
			"real type as on any event. They carry X-Backstop-Reason: test. Whoever is told of trouble (notify) gets a test\n" +
			"notice, by each way.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&request.SendTest, "send-test", false, "send the receiver synthetic events, and a test notice, too")
	cmd.Flags().StringVar(&request.EventType, "event-type", "", "the `TYPE` of the events of --send-test")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		if request.EventType != "" && !request.SendTest {
			return exit.Errorf(exit.Usage, "write --send-test --event-type T", "--event-type is for --send-test")
		}
		request.Version = version()
		return a.doctor(ctx, request)
	}))
}

// doctor looks at the configuration in this process, for a daemon has read its own
// long ago, and has whoever holds the state look at the rest.
func (a *app) doctor(ctx context.Context, request engine.DoctorRequest) error {
	cfg, warnings, err := config.Salvage(a.configOptions())
	if _, _, wrong := a.logger(config.Default()); wrong != nil {
		return wrong // the flags of the log
	}
	sick := sicknessOf(cfg, warnings, err)
	sick.found.File = config.Find(a.configOptions())
	var summary doctor.Summary
	say := func(c doctor.Check) error {
		summary.Count(c)
		return a.printCheck(c)
	}
	c := daemonOf(ctx, sick.usable)
	sick.found.Daemon = c != nil
	for _, check := range sick.found.Judge() {
		if err := say(check); err != nil {
			return err
		}
	}
	if c == nil {
		request.Mistaken = slices.Sorted(maps.Keys(sick.parts))
		if c, err = a.openFor(sick, &request); err != nil {
			return err
		}
	}
	err = use(c, func(c *api.Client) error {
		return heard(ctx, max(silence, 2*sick.usable.Receiver.Timeout), say, func(ctx context.Context, say func(doctor.Check) error) error {
			_, err := c.Doctor(ctx, request, say)
			return err
		})
	})
	return errors.Join(a.printSummary(summary), err, unwell(summary))
}

// silence is how long may pass between two lines: longer than any check may take.
const silence = time.Minute

// heard has do say its lines, and gives up on one that falls silent: a daemon that
// stands still answers nothing and ends nothing.
func heard(ctx context.Context, limit time.Duration, say func(doctor.Check) error, do func(context.Context, func(doctor.Check) error) error) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(limit, cancel)
	defer timer.Stop()
	err := do(waiting, func(c doctor.Check) error {
		timer.Reset(limit)
		return say(c)
	})
	if waiting.Err() == nil || ctx.Err() != nil {
		return err
	}
	return say(doctor.Check{
		Name: "daemon", Status: doctor.Fail, Found: "it answers no more: the rest was not checked",
		Remedy: "see its log, and restart it (`systemctl restart backstop`)",
	})
}

// openFor opens an engine of our own, and notes in the request why it has no state
// where there should be one.
func (a *app) openFor(sick sickness, request *engine.DoctorRequest) (*api.Client, error) {
	logger, _, err := a.logger(sick.usable)
	if err != nil {
		return nil, err
	}
	o := engine.Options{Config: sick.usable, Need: engine.Optional, Version: version(), Logger: logger, Deep: lookThrough}
	if sick.parts["state"] {
		o.Need = engine.Nothing
	}
	e, err := engine.Open(o)
	if err != nil && o.Need != engine.Nothing {
		why := &request.Broken
		if exit.CodeOf(err) == exit.Held {
			why = &request.Held
		}
		*why, o.Need = err.Error(), engine.Nothing
		e, err = engine.Open(o)
	}
	if err != nil {
		return nil, err
	}
	return api.Serve(e), nil
}

// printCheck prints a line and, below it, the remedy.
func (a *app) printCheck(c doctor.Check) error {
	c.Found, c.Remedy = log.Printable(c.Found), log.Printable(c.Remedy)
	if a.json {
		c.Found, c.Remedy = a.cut(c.Found), a.cut(c.Remedy)
		return a.printJSON(c)
	}
	text := fmt.Sprintf("%s  %-20s %s\n", a.painted(c.Status), c.Name, c.Found)
	if c.Remedy != "" {
		text += fmt.Sprintf("      %-20s → %s\n", "", c.Remedy)
	}
	return a.printf("%s", text)
}

// painted is a status with its colour, where that goes to a terminal.
func (a *app) painted(s doctor.Status) string {
	text := fmt.Sprintf("%-4s", s)
	if !(log.Options{Color: a.flags.color, Terminal: isTerminal(a.Out), Env: os.LookupEnv}).Colored() {
		return text
	}
	return map[doctor.Status]string{doctor.OK: "\x1b[32m", doctor.Warn: "\x1b[33m", doctor.Fail: "\x1b[31m"}[s] + text + "\x1b[0m"
}

func (a *app) printSummary(s doctor.Summary) error {
	if a.json {
		return a.printJSON(map[string]doctor.Summary{"summary": s})
	}
	return a.printf("\n%d ok, %d warn, %d fail\n", s.OK, s.Warn, s.Fail)
}

// unwell is the error of a doctor who found a failure.
func unwell(s doctor.Summary) error {
	if s.Fail == 0 {
		return nil
	}
	return exit.Errorf(exit.Differences, "mend what stands behind each fail, then run it again", "%s", plural(s.Fail, "check")+" failed")
}
