package command

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/internal/secret"
)

// maxBody bounds a body on stdin, in bytes.
const maxBody = 64 << 20

type secretFlags struct{ text, file string }

func (f *secretFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "secret-file", "", "read the secret from `FILE`")
	cmd.Flags().StringVar(&f.text, "secret", "", "the secret itself (others can see it in the process list; prefer --secret-file)")
	cmd.MarkFlagsMutuallyExclusive("secret", "secret-file")
}

// value gives the secret of the flags, else of HEYGEN_WEBHOOK_SECRET.
func (f *secretFlags) value(env func(string) (string, bool)) (string, error) {
	switch {
	case f.file != "":
		value, err := secret.File(f.file).Value()
		return value, exit.Wrap(exit.Failed, "", err)
	case f.text != "":
		return f.text, nil
	}
	if value, ok := env("HEYGEN_WEBHOOK_SECRET"); ok && value != "" {
		return value, nil
	}
	return "", exit.Errorf(exit.Usage, "give --secret-file FILE or set HEYGEN_WEBHOOK_SECRET", "no secret")
}

func (a *app) signCommand() *cobra.Command {
	var flags secretFlags
	cmd := &cobra.Command{Use: "sign", Short: "Print the HeyGen signature of a body on stdin", Args: cobra.NoArgs}
	flags.add(cmd)
	return a.withJSON(verb(cmd, func(context.Context, []string) error {
		key, body, err := a.keyAndBody(flags)
		if err != nil {
			return err
		}
		signature := heygen.Sign(key, body)
		return a.print(map[string]string{"signature": signature}, signature)
	}))
}

func (a *app) verifyCommand() *cobra.Command {
	var flags secretFlags
	cmd := &cobra.Command{
		Use:   "verify SIGNATURE",
		Short: "Check the HeyGen signature of a body on stdin (exit 1 when it is wrong)",
		Args:  cobra.ExactArgs(1),
	}
	flags.add(cmd)
	return a.withJSON(verb(cmd, func(_ context.Context, args []string) error {
		key, body, err := a.keyAndBody(flags)
		if err != nil {
			return err
		}
		if !heygen.Verify([]string{key}, body, args[0]) {
			return exit.Errorf(exit.Failed, "check the secret, and that the body is byte for byte what was sent", "the signature is wrong")
		}
		return a.print(map[string]bool{"ok": true}, "ok")
	}))
}

func (a *app) keyAndBody(flags secretFlags) (key string, body []byte, err error) {
	if key, err = flags.value(os.LookupEnv); err != nil {
		return "", nil, err
	}
	body, err = io.ReadAll(io.LimitReader(a.In, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = exit.Errorf(exit.Usage, "no webhook is that large", "the body is over %d bytes", maxBody)
	}
	return key, body, exit.Wrap(exit.Failed, "", err)
}
