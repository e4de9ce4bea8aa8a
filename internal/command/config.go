package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"backstop/internal/config"
	"backstop/internal/exit"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "Check or print the configuration", a.configCheckCommand(), a.configPrintCommand())
}

func (a *app) configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, offline; exit 78 when it is wrong",
		Args:  cobra.NoArgs,
	}
	return a.withJSON(verb(cmd, func(context.Context, []string) error {
		cfg, warnings, err := config.Load(a.configOptions())
		if err == nil {
			err = cfg.Need()
		}
		if a.json {
			return errors.Join(a.printJSON(checked(cfg, warnings, err)), exit.Wrap(exit.Config, "", err))
		}
		for _, warning := range warnings {
			fmt.Fprintf(a.Err, "backstop: warning: %s\n", warning)
		}
		if err != nil {
			return exit.Wrap(exit.Config, "", err)
		}
		return a.printf("%s is right\n", cmp.Or(cfg.File, "the configuration (no file: defaults and environment)"))
	}))
}

// configChecked is what config check prints as JSON.
type configChecked struct {
	File     string   `json:"file,omitempty"`
	OK       bool     `json:"ok"`
	Mistakes []string `json:"mistakes,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func checked(cfg *config.Config, warnings []config.Warning, err error) configChecked {
	result := configChecked{OK: err == nil}
	if cfg != nil {
		result.File = cfg.File
	}
	for _, warning := range warnings {
		result.Warnings = append(result.Warnings, fmt.Sprint(warning))
	}
	var several *config.Errors
	switch {
	case errors.As(err, &several):
		for _, mistake := range several.Mistakes {
			result.Mistakes = append(result.Mistakes, fmt.Sprint(mistake))
		}
	case err != nil:
		result.Mistakes = []string{err.Error()}
	}
	return result
}

func (a *app) configPrintCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "print", Short: "Print the configuration in force, secrets redacted", Args: cobra.NoArgs}
	return a.withJSON(verb(cmd, func(context.Context, []string) error {
		cfg, err := a.load()
		if err != nil {
			return err
		}
		if a.json {
			data, err := cfg.RedactedJSON(a.flags.showURLs)
			if err != nil {
				return err
			}
			return a.write(append(data, '\n'))
		}
		redacted := cfg.Redacted
		if a.flags.showURLs {
			redacted = cfg.RedactedWithURLs
		}
		data, err := redacted()
		if err != nil {
			return err
		}
		return a.write(data)
	}))
}

// write prints data as it is.
func (a *app) write(data []byte) error {
	_, err := a.Out.Write(data)
	return written(err)
}
