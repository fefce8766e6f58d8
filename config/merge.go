// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// merge decodes environment over file over defaults. Where decoding failed the
// Config holds a zero value, and a problem says so.
func merge(src *source) (*Config, Problems) {
	defaults := Default()
	v := viper.New()
	v.AllowEmptyEnv(true) // control.metrics is turned off by an empty value
	for _, k := range keys() {
		v.SetDefault(k.path, k.in(&defaults).Interface())
		if k.isList() {
			continue
		}
		if err := v.BindEnv(k.path, k.variable()); err != nil {
			return new(Config), Problems{src.problem(k.path, err.Error(), "")}
		}
	}
	if err := v.MergeConfigMap(src.values); err != nil {
		return new(Config), Problems{src.problem("", err.Error(), "")}
	}
	c := new(Config)
	return c, decodeProblems(v.UnmarshalExact(c, exactly), src.origin)
}

// exactly takes viper's own leniencies out: no conversion but by our hooks, and
// names match to the letter.
func exactly(d *mapstructure.DecoderConfig) {
	d.DecodeHook = decodeHook()
	d.WeaklyTypedInput = false
	d.MatchName = func(mapKey, fieldName string) bool { return mapKey == fieldName }
}

// decodeProblems takes apart the tree of errors that decoding returns.
func decodeProblems(err error, o origin) Problems {
	if err == nil {
		return nil
	}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		var out Problems
		for _, e := range several.Unwrap() {
			out = append(out, decodeProblems(e, o)...)
		}
		return out
	}
	m := &mistake{what: err.Error()}
	errors.As(err, &m)
	var at *mapstructure.DecodeError
	if !errors.As(err, &at) {
		return Problems{o.problem("", m.what, m.fix)}
	}
	return Problems{o.problem(at.Name(), m.what, m.fix)}
}
