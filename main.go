// Command backstop is the safety net beside a receiver of HeyGen's webhooks: it
// finds the events that push delivery lost and replays them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"backstop/internal/command"
)

func main() { os.Exit(run()) }

// run ends a verb gracefully on the first SIGINT or SIGTERM. The second one
// finds the default handling again and ends the process at once, which the state
// survives as it survives a kill.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return command.Main(ctx, os.Args[1:], command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
