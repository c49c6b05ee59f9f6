package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/fault"
	"airfield/internal/notify"
)

func notifyCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "notify", Short: "See what became of the events that people are told of", Args: cobra.NoArgs,
		Long:    "Shows each channel of the section notify, as the server that is asked has used it since its start.",
		Example: "  airfield notify\n  airfield notify test on-call",
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			all, err := get[[]notify.ChannelStatus](ctx, c, "/api/notify")
			if err != nil {
				return err
			}
			return env.show(all, func() { env.channels(all) })
		}),
	}
	cmd.AddCommand(&cobra.Command{
		Use: "test [CHANNEL]", Short: "Send a word to a channel, or to each, and say whether it arrived", Args: cobra.MaximumNArgs(1),
		Long: "Makes one try, whatever kinds of events the channel is for; the kind of the event is notify.test.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			in := map[string]string{}
			if len(args) == 1 {
				in["channel"] = args[0]
			}
			all, err := post[[]notify.Tested](ctx, c, "/api/notify/test", in)
			if err != nil {
				return err
			}
			failed := 0
			for _, t := range all {
				if !t.OK {
					failed++
				}
			}
			if err := env.show(all, func() { env.tested(all) }); err != nil || failed == 0 {
				return err
			}
			return fault.New(fault.Unavailable, "notify_failed", "%d of %d channels cannot be reached", failed, len(all))
		}),
	})
	return cmd
}

const noChannels = `nobody is told of anything. In airfield.yaml:

notify:
  on-call: {webhook: https://alerts.example.com/airfield}`

func (e *environment) channels(all []notify.ChannelStatus) {
	var rows [][]any
	for _, c := range all {
		kinds, last := "all", ""
		if len(c.Events) > 0 {
			kinds = strings.Join(c.Events, ", ")
		}
		switch {
		case c.Failing:
			last = fmt.Sprintf("failed %s: %s", ago(c.LastFailure), c.LastError)
		case !c.LastSuccess.IsZero():
			last = "delivered " + ago(c.LastSuccess)
		}
		rows = append(rows, []any{c.Channel, kinds, c.Waiting, c.Delivered, c.Held, c.Failed + c.Dropped, last})
	}
	e.table([]string{"CHANNEL", "TOLD OF", "WAITING", "DELIVERED", "HELD", "LOST", "LAST"}, rows, noChannels)
}

func (e *environment) tested(all []notify.Tested) {
	for _, t := range all {
		if t.OK {
			e.printf("%s has it\n", printable(t.Channel))
			continue
		}
		e.printf("%s does not: %s\n", printable(t.Channel), printable(t.Error))
	}
	if len(all) == 0 {
		e.printf("%s\n", noChannels)
	}
}
