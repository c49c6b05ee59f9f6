package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// Version says which Airfield this is.
func Version() string { return version }

func versionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v["revision"] = s.Value
					}
				}
			}
			return env.show(v, func() { fmt.Fprintf(env.out, "airfield %s %s %s\n", v["version"], v["go"], v["platform"]) })
		},
	}
}

// commands are all there are, in the order of the help.
var commands = []func(*environment) *cobra.Command{
	initCommand, serveCommand, checkCommand, configCommand, demoCommand,
	ingestCommand, documentsCommand, searchCommand, askCommand, dlqCommand, refreshCommand, chunkCommand, recordsCommand,
	callsCommand, traceCommand, costsCommand, budgetsCommand, batchesCommand, pricesCommand, promptsCommand, routeCommand, notifyCommand,
	keysCommand, auditCommand, backupCommand, restoreCommand, journalCommand,
	versionCommand, extractChildCommand,
}
