// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/control"
	"op25b/exempt"
)

func newExempt() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exempt",
		Short: "Who may send directly for a while, and why: add, list, remove, expire",
		Long: `Change the files that policy.exemptions names, and make the running gateway read them.
A file keeps its comments and its style, and is as it was after any error.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExemptAdd(), newExemptList(), newExemptRemove(), newExemptExpire())
	return cmd
}

const exemptCodes = `

Exit codes: 0 done, 1 failed, 2 usage, a mistake in a file, or the gateway refused it,
5 no permission. After a refusal of the gateway's the file is changed all the same.`

// exemptEdit is what the commands that change a file have in common.
type exemptEdit struct {
	path     string // of the configuration
	noReload bool
}

func (x *exemptEdit) add(cmd *cobra.Command) {
	configFlag(cmd, &x.path)
	cmd.Flags().BoolVar(&x.noReload, "no-reload", false, "leave the running gateway alone")
}

func newExemptAdd() *cobra.Command {
	var (
		x           exemptEdit
		e           exempt.Exemption
		file, until string
	)
	cmd := &cobra.Command{
		Use:   "add PREFIX --reason TEXT --until TIME",
		Short: "Let a subscriber or a prefix send directly until a time",
		Long: `Let the subscribers in PREFIX, or the one at an address, send directly until a time: 30d
for that many days from now, 12h for hours, "2027-03-31 00:00 Asia/Tokyo" or RFC 3339.
PREFIX is in a pool. A gateway that runs reads its files again and says what changes.` + exemptCodes,
		Example: `  op25b exempt add 100.64.3.7 --until 30d --ticket CS-1234 --reason "mail server that moves to a static line"`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if e.Prefix, err = exempt.ParsePrefix(args[0]); err != nil {
				return &usageError{fmt.Errorf("PREFIX %w", err)}
			}
			e.Added = time.Now().Truncate(time.Second)
			if e.Until, err = untilTime(until, e.Added); err != nil {
				return &usageError{fmt.Errorf("--until %w", err)}
			}
			if err := e.Check(); err != nil {
				return &usageError{err}
			}
			return x.addTo(cmd, file, e)
		},
	}
	x.add(cmd)
	cmd.Flags().StringVar(&file, "file", "", "file of exemptions, if the configuration names several")
	cmd.Flags().StringVar(&e.Reason, "reason", "", "why, in a line")
	cmd.Flags().StringVar(&until, "until", "", "when it ends")
	cmd.Flags().StringVar(&e.Ticket, "ticket", "", "where it was asked for")
	cmd.Flags().StringVar(&e.By, "by", whoami(), "who adds it")
	return cmd
}

func newExemptRemove() *cobra.Command {
	var x exemptEdit
	cmd := &cobra.Command{
		Use:   "remove PREFIX",
		Short: "Take an exemption out of its file, with its record",
		Long: `Take an exemption out of its file. Nothing there tells of it afterwards: to end one and
keep the record, use expire. Comments inside of it go with it.` + exemptCodes,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return x.change(cmd, args[0], func(file string, prefix netip.Prefix) error {
				e, err := exempt.Remove(file, prefix)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is removed, which was for %q until %s\n", file, prefix, e.Reason, clockTime(e.Until))
				return err
			})
		},
	}
	x.add(cmd)
	return cmd
}

func newExemptExpire() *cobra.Command {
	var x exemptEdit
	cmd := &cobra.Command{
		Use:   "expire PREFIX",
		Short: "End an exemption now, and keep its record",
		Long:  "End an exemption now: only its until is changed." + exemptCodes,
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return x.change(cmd, args[0], func(file string, prefix netip.Prefix) error {
				now := time.Now().Truncate(time.Second)
				e, err := exempt.Expire(file, prefix, now)
				if err != nil {
					return err
				}
				ended := "ends now"
				if e.Until.Before(now) {
					ended = "had ended by then, at " + clockTime(e.Until)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the exemption of %s %s\n", file, prefix, ended)
				return err
			})
		},
	}
	x.add(cmd)
	return cmd
}

// addTo adds an exemption that a reload would accept, and reloads.
func (x *exemptEdit) addTo(cmd *cobra.Command, file string, e exempt.Exemption) error {
	cfg, err := loadConfig(x.path)
	if err != nil {
		return err
	}
	if file, err = exemptionFile(x.path, cfg, file); err != nil {
		return err
	}
	all, err := loadExemptions(cfg, file)
	if err != nil {
		return err
	}
	e.File = file
	if err := addable(cfg, all, e); err != nil {
		return err
	}
	if err := exempt.Add(file, e); err != nil {
		return exemptError(err)
	}
	pool := indexPools(cfg).of(e.Prefix)
	for _, warning := range futile(pool, all, e) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s in pool %s is exempt until %s\n", file, e.Prefix, pool.name, clockTime(e.Until)); err != nil {
		return err
	}
	return x.reload(cmd, cfg)
}

// change finds the file that has an exemption, changes it there, and reloads.
func (x *exemptEdit) change(cmd *cobra.Command, text string, edit func(file string, prefix netip.Prefix) error) error {
	prefix, err := exempt.ParsePrefix(text)
	if err != nil {
		return &usageError{fmt.Errorf("PREFIX %w", err)}
	}
	cfg, err := loadConfig(x.path)
	if err != nil {
		return err
	}
	all, err := loadExemptions(cfg, "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e exempt.Exemption) bool { return e.Prefix == prefix })
	if i < 0 {
		return fmt.Errorf("%s is in no file of exemptions that %s names: see op25b exempt list", prefix, x.path)
	}
	if err := edit(all[i].File, prefix); err != nil {
		return exemptError(err)
	}
	return x.reload(cmd, cfg)
}

// reload makes a gateway that runs read what has changed.
func (x *exemptEdit) reload(cmd *cobra.Command, cfg *config.Config) error {
	if x.noReload {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), reloadTimeout)
	defer cancel()
	result, err := control.Dial(cfg.Control.Socket).Reload(ctx, control.ReloadOptions{})
	switch {
	case errors.Is(err, control.ErrNotRunning):
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "no gateway listens on %s: one that starts goes by the file\n", cfg.Control.Socket)
		return err
	case err != nil:
		return fmt.Errorf("the file is changed, but the gateway does not go by it yet: %w", err)
	}
	return writeReload(cmd.OutOrStdout(), cmd.ErrOrStderr(), &result)
}

// exemptionFile is the file to add to.
func exemptionFile(path string, cfg *config.Config, asked string) (string, error) {
	files := cfg.Policy.Exemptions
	switch {
	case len(files) == 0:
		return "", &configError{fmt.Errorf("%s names no file of exemptions: write policy.exemptions: [exemptions.yaml]", path)}
	case asked == "" && len(files) == 1:
		return files[0], nil
	case asked == "":
		return "", &usageError{fmt.Errorf("%s names several files: choose one with --file: %s", path, strings.Join(files, ", "))}
	}
	for _, file := range files {
		if samePath(file, asked) || samePath(file, filepath.Join(filepath.Dir(path), asked)) {
			return file, nil
		}
	}
	return "", &usageError{fmt.Errorf("%s does not name %s, so no gateway would read it: choose one of %s", path, asked, strings.Join(files, ", "))}
}

func samePath(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

// loadExemptions reads all files; the one that is new may be missing.
func loadExemptions(cfg *config.Config, mayMiss string) ([]exempt.Exemption, error) {
	files := slices.DeleteFunc(slices.Clone(cfg.Policy.Exemptions), func(file string) bool {
		_, err := os.Lstat(file)
		return file == mayMiss && errors.Is(err, fs.ErrNotExist)
	})
	all, err := exempt.Load(files...)
	if err != nil {
		return nil, exemptError(err)
	}
	return all, nil
}

// exemptError makes mistakes in a file a matter of configuration for the exit code.
func exemptError(err error) error {
	if errors.As(err, new(exempt.Problems)) && !errors.Is(err, fs.ErrPermission) {
		return &configError{err}
	}
	return err
}

// addable says why a reload would refuse an exemption among the others, or why it is
// there already.
func addable(cfg *config.Config, all []exempt.Exemption, e exempt.Exemption) error {
	if i := slices.IndexFunc(all, func(o exempt.Exemption) bool { return o.Prefix == e.Prefix }); i >= 0 {
		o, is := &all[i], "is"
		if !e.Added.Before(o.Until) {
			is = "was"
		}
		return &configError{fmt.Errorf("%s %s exempt until %s, at %s:%d: change that, or remove it first: op25b exempt remove %s",
			e.Prefix, is, clockTime(o.Until), o.File, o.Line, e.Prefix)}
	}
	if indexPools(cfg).of(e.Prefix).name == "" {
		return &configError{fmt.Errorf("%s is in no pool: correct it, or add it to policy.pools in the configuration", e.Prefix)}
	}
	rules := newRulebook(cfg, append(slices.Clone(all), e))
	if err := rules.check(); err != nil {
		return err
	}
	_, err := rules.at(e.Added)
	return err
}

// futile says why an exemption makes no difference, if so.
func futile(pool poolOf, all []exempt.Exemption, e exempt.Exemption) []string {
	var why []string
	if pool.static {
		why = append(why, fmt.Sprintf("pool %s is static: nothing is refused to it anyway", pool.name))
	}
	for _, o := range all {
		if o.Prefix.Bits() < e.Prefix.Bits() && o.Prefix.Contains(e.Prefix.Addr()) && !o.Until.Before(e.Until) {
			why = append(why, fmt.Sprintf("%s, which holds %s, is exempt until %s", o.Prefix, e.Prefix, clockTime(o.Until)))
		}
	}
	return why
}

// untilTime reads --until: some time from now, or a time that is yet to come.
func untilTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("is missing: write 30d, or a time")
	}
	if until, ok := fromNow(text, now); ok {
		return until, nil
	}
	until, err := exempt.ParseTime(text)
	if err == nil && !until.After(now) {
		err = fmt.Errorf("%s is over: write a time to come, or 30d", text)
	}
	return until, err
}

// fromNow reads a number of days or hours. A day ends at the same time of day.
func fromNow(text string, now time.Time) (time.Time, bool) {
	m := regexp.MustCompile(`^([1-9][0-9]{0,3})([dh])$`).FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	n, _ := strconv.Atoi(m[1]) // digits, as matched
	if m[2] == "h" {
		return now.Add(time.Duration(n) * time.Hour), true
	}
	return now.AddDate(0, 0, n), true
}

// whoami is who types, also behind sudo. Empty: not known.
func whoami() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}
