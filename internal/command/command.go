// Package command owns the command line: verbs, flags, what is printed where,
// and exit codes. Every verb that touches the state asks through package api,
// whether a daemon runs or not; no rule about events lives here.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/exit"
)

// Streams are where a verb reads and writes: data goes to Out, logs and progress
// to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs one command line and gives the exit code. ctx ends with the first
// signal.
func Main(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s, json: slices.Contains(args, "--json")} // also for errors of the command line itself
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return int(exit.OK)
	}
	err = classify(ctx, cmd, err)
	a.printError(err)
	return int(exit.CodeOf(err))
}

// app is one run of the command line.
type app struct {
	Streams
	flags globalFlags
	json  bool // of the verb that runs
}

type globalFlags struct {
	config, logLevel, logFormat, color string
	quiet, verbose, showURLs           bool
}

// fromVerb marks an error of a verb, as distinct from one of cobra's about the
// command line.
type fromVerb struct{ error }

func (f fromVerb) Unwrap() error { return f.error }

// interrupted is the error of a verb that a signal ended, and that says itself
// what becomes of its work.
type interrupted struct{ error }

// classify gives an error its exit code: what cobra says is about usage, and a
// verb that a signal ended was interrupted.
func classify(ctx context.Context, cmd *cobra.Command, err error) error {
	var verb fromVerb
	if !errors.As(err, &verb) {
		return exit.Wrap(exit.Usage, "see `"+cmd.CommandPath()+" --help`", err)
	}
	err = verb.error
	if told := (interrupted{}); errors.As(err, &told) {
		return told.error
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || unfinished(exit.CodeOf(err))) {
		return exit.Errorf(exit.Interrupted, "run it again; it goes on from what is done", "interrupted")
	}
	return err
}

// unfinished reports whether a run that a signal ended may end with the code
// only because it was ended.
func unfinished(code exit.Code) bool {
	return code == exit.Interrupted || code == exit.Differences || code == exit.Timeout
}

func (a *app) printError(err error) {
	if a.json {
		encoder := json.NewEncoder(a.Err)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(map[string]api.ErrorBody{"error": api.BodyOf(err)})
		return
	}
	fmt.Fprintf(a.Err, "backstop: %s\n", a.cut(err.Error()))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "backstop",
		Short: "The safety net beside a receiver of HeyGen's webhooks",
		Long: "backstop walks HeyGen's listing of webhook events, compares it with what your receiver has,\n" +
			"and replays exactly what push delivery missed.",
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.flags.config, "config", "", "configuration `FILE` (else $BACKSTOP_CONFIG, ./config.yaml, /etc/backstop/config.yaml)")
	flags.StringVar(&a.flags.logLevel, "log-level", "", "debug, info, warn or error")
	flags.StringVar(&a.flags.logFormat, "log-format", "", "auto, text or json")
	flags.StringVar(&a.flags.color, "color", "auto", "auto, always or never")
	flags.BoolVarP(&a.flags.quiet, "quiet", "q", false, "log errors only")
	flags.BoolVarP(&a.flags.verbose, "verbose", "v", false, "log debug messages too")
	flags.BoolVar(&a.flags.showURLs, "show-urls", false, "do not cut the queries of URLs; they carry signatures")
	root.AddCommand(
		a.runCommand(), a.reconcileCommand(), a.diffCommand(), a.backfillCommand(), a.replayCommand(), a.eventsCommand(), a.explainCommand(),
		a.ignoreCommand(), a.seenCommand(), a.statusCommand(), a.pauseCommand(), a.resumeCommand(), a.doctorCommand(), a.signCommand(),
		a.verifyCommand(), a.stateCommand(), a.configCommand(), a.simulateCommand(), a.demoCommand(), a.versionCommand(),
	)
	return root
}

// verb makes a command whose errors are told from cobra's own.
func verb(cmd *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := run(cmd.Context(), args); err != nil {
			return fromVerb{err}
		}
		return nil
	}
	return cmd
}

// withJSON adds --json to a verb that prints data.
func (a *app) withJSON(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

// group makes a command that only holds others; called by itself it is a
// mistake that its help explains.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return fmt.Errorf("%s needs a verb", cmd.Name())
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// who is what only this process can tell of the person behind a manual act: the
// user who called sudo. Whoever answers knows the rest, and whether to believe it.
func who() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name + " by sudo"
	}
	return ""
}
