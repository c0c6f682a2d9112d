package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"pulso/access/jwt"
	"pulso/bridge/decode"
	"pulso/internal/app"
)

// hubFlags are the flags of the commands that take a hub's configuration.
type hubFlags struct {
	app.Config

	File string `name:"config" env:"PULSO_CONFIG" placeholder:"FILE" help:"YAML file with the keys that the flags have."`
}

// A configValues holds what the configuration file says, by flag name. It is a [kong.Resolver].
type configValues struct {
	path   string
	values map[string]any
	used   map[string]bool // those that neither a flag nor the environment has overruled

	// The keys that are no flags.
	sources   []app.Source
	overrides []decode.Override
	remote    []app.RemoteWrite
	issuers   []jwt.Issuer
}

// forgetEmpty unsets our variables that are empty: a container's environment says "not set" that way.
func forgetEmpty() {
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); value == "" && strings.HasPrefix(name, "PULSO_") {
			_ = os.Unsetenv(name) // it was set, so it can be unset
		}
	}
}

// configFile reads the configuration file that the arguments or the environment name, if any: before the other flags
// are read, because it fills them.
func configFile(args []string) (*configValues, error) {
	path := os.Getenv("PULSO_CONFIG")
	for i, a := range args {
		if a == "--" {
			break
		}
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			path = v
		} else if a == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	c := &configValues{path: path, values: make(map[string]any), used: make(map[string]bool)}
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	err = errors.Join(
		takeList(c, tree, "sources", &c.sources), takeList(c, tree, "decode", &c.overrides), takeList(c, tree, "remote-write", &c.remote),
		takeList(c, tree, "jwt", &c.issuers),
	)
	if err != nil {
		return nil, err
	}
	if err := c.flatten("", tree); err != nil {
		return nil, err
	}
	return c, nil
}

// takeList takes a list that is no flag out of the tree.
func takeList[T any](c *configValues, tree map[string]any, key string, to *[]T) error {
	list, ok := tree[key]
	if !ok {
		return nil
	}
	delete(tree, key)
	text, err := yaml.Marshal(list)
	if err != nil {
		return fmt.Errorf("configuration %s: %s: %w", c.path, key, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(to); err != nil {
		// Lines would be those of the list alone, and types those of the program.
		text := unknownField.ReplaceAllString(err.Error(), `unknown key "$1"`)
		return fmt.Errorf("configuration %s: %s: %s", c.path, key, strings.TrimSpace(yamlNoise.ReplaceAllString(text, " ")))
	}
	return nil
}

// What there is in an error of the YAML decoder that says nothing to who wrote the file.
var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	yamlNoise    = regexp.MustCompile(`\s*(yaml: unmarshal errors:|line \d+:)`)
)

// flatten turns nested keys into flag names: `log: {sync: os}` is log-sync.
func (c *configValues) flatten(prefix string, tree map[string]any) error {
	for key, value := range tree {
		name := prefix + strings.ReplaceAll(key, "_", "-")
		switch v := value.(type) {
		case map[string]any:
			if err := c.flatten(name+"-", v); err != nil {
				return err
			}
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = fmt.Sprint(v[i])
			}
			c.values[name] = strings.Join(parts, ",")
		case nil:
			return fmt.Errorf("configuration %s: %s has no value", c.path, name)
		default:
			c.values[name] = fmt.Sprint(v)
		}
	}
	return nil
}

// Validate implements [kong.Resolver]: keys that nothing reads are errors.
func (c *configValues) Validate(a *kong.Application) error {
	known := make(map[string]bool)
	for _, command := range a.Children {
		if command.Name != "serve" {
			continue
		}
		for _, f := range command.Flags {
			known[f.Name] = f.Name != "config" && f.Name != "help"
		}
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		if !known[key] {
			errs = append(errs, fmt.Errorf("configuration %s: unknown key %q", c.path, key))
		}
	}
	return errors.Join(errs...)
}

// Resolve implements [kong.Resolver]. The environment goes before the file.
func (c *configValues) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command != nil && !slices.Contains([]string{"serve", "demo", "check", "bridge"}, parent.Command.Name) {
		return nil, nil //nolint:nilnil // kong's way to say: not from here
	}
	for _, env := range flag.Envs {
		if os.Getenv(env) != "" {
			return nil, nil //nolint:nilnil // as above
		}
	}
	v, ok := c.values[flag.Name]
	if !ok {
		return nil, nil //nolint:nilnil // as above
	}
	if err := tryValue(flag.Value, v); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", c.path, err)
	}
	c.used[flag.Name] = true
	return v, nil
}

// tryValue returns what is wrong with a value for a flag; kong would say the same, but not where the value is from.
func tryValue(flag *kong.Value, value any) error {
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag, Scan: scan}, target); err != nil {
		return err
	}
	if text := fmt.Sprint(target); flag.Enum != "" && !slices.Contains(flag.EnumSlice(), text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(flag.EnumSlice(), ", "))
	}
	return nil
}

// blame names the file in those errors of [app.Config.Check] whose value it set.
func (c *configValues) blame(err error) error {
	switch e := err.(type) { //nolint:errorlint // errors are joined, by Check and by kong, and not wrapped otherwise
	case interface{ Unwrap() []error }:
		errs := slices.Clone(e.Unwrap())
		for i := range errs {
			errs[i] = c.blame(errs[i])
		}
		return errors.Join(errs...)
	case *app.KeyError:
		list, _, _ := strings.Cut(e.Key, "[")
		if c.used[e.Key] || list == "sources" && len(c.sources) > 0 || list == "decode" && len(c.overrides) > 0 ||
			list == "remote-write" && len(c.remote) > 0 {
			return fmt.Errorf("%w (%s sets it)", err, c.path)
		}
	}
	return err
}

// helpText is a flag's help with its variable and, where a placeholder hides it, its default.
func helpText(v *kong.Value) string {
	var notes []string
	if v.HasDefault && v.Tag.PlaceHolder != "" {
		notes = append(notes, "default "+v.Default)
	}
	for _, env := range v.Tag.Envs {
		notes = append(notes, "$"+env)
	}
	if len(notes) == 0 {
		return v.Help
	}
	return v.Help + " (" + strings.Join(notes, ", ") + ")"
}
