// Command pulso is the hub, its simulators and its tools in one program: see `pulso --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"pulso/simulators"
)

// version is set by the linker; go run and go install leave it to the module's own.
var version string

// cli is the command line.
type cli struct {
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Serve     serveCmd     `cmd:"" help:"Run the hub."`
	Bridge    bridgeCmd    `cmd:"" help:"Run the hub beside a broker that you already run: Mosquitto, EMQX or any other."`
	Demo      demoCmd      `cmd:"" help:"Run a hub with a simulated fleet and show where to look."`
	Sim       simCmd       `cmd:"" help:"Simulate devices against any MQTT broker."`
	Bench     benchCmd     `cmd:"" help:"Measure a hub or any MQTT broker."`
	Pub       pubCmd       `cmd:"" help:"Publish a message."`
	Tail      tailCmd      `cmd:"" help:"Show what arrives, as it arrives."`
	Decode    decodeCmd    `cmd:"" help:"Explain how a message is understood."`
	Export    exportCmd    `cmd:"" help:"Fetch what a hub keeps as a file: samples as CSV or JSON lines, or messages."`
	User      userCmd      `cmd:"" help:"People who may use the hub."`
	Device    deviceCmd    `cmd:"" help:"Devices that may connect."`
	Token     tokenCmd     `cmd:"" help:"Make a token for a service or an account."`
	Role      roleCmd      `cmd:"" help:"What accounts may do."`
	Namespace namespaceCmd `cmd:"" help:"Tenants: accounts that have a first level of topics to themselves."`
	Limit     limitCmd     `cmd:"" help:"How much accounts may do."`
	Revoke    revokeCmd    `cmd:"" help:"Take an account, or one of its tokens, away: at once."`
	List      listCmd      `cmd:"" help:"List accounts, tokens and roles."`
	Contract  contractCmd  `cmd:"" help:"What devices have promised to send."`
	Check     checkCmd     `cmd:"" help:"Check the configuration, a running hub, or somebody's rights."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

type simCmd struct {
	simulators.Commands
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintln(out, "pulso", versionString())
	return err
}

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func main() {
	// The first signal asks to end, the second does it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:])
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "pulso: "+err.Error())
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		os.Exit(coded.ExitCode())
	}
	os.Exit(1)
}

// run reads the command line and does what it says, until ctx ends.
func run(ctx context.Context, args []string) error {
	var c cli
	forgetEmpty()
	file, err := configFile(args)
	if err != nil {
		return err
	}
	parser, err := kong.New(&c,
		kong.Name("pulso"),
		kong.Description("A hub for MQTT devices: point them at it and see them."),
		kong.UsageOnError(),
		kong.Vars{"version": "pulso " + versionString()},
		kong.ValueFormatter(helpText),
		kong.Groups{
			"tls":    "Transport (docs/OPERATIONS.md):",
			"limits": "Limits (docs/OPERATIONS.md says what happens at each):",
			"broker": "The broker to take messages from (for several with settings of their own: sources in the configuration file):",
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindToProvider(progressOutput),
		kong.Resolvers(file),
		kong.Bind(file),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (pulso --help tells more)", err)
	}
	return file.blame(parsed.Run())
}
