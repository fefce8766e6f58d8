// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"op25b/config"
	"op25b/filter"
	"op25b/stack"
)

// newLogger returns a logger that writes at most one line a second of each
// message, and the switch for its level.
func newLogger(w io.Writer, c config.Log) (*zap.Logger, zap.AtomicLevel) {
	core, level := newCore(w, c)
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)), level
}

// newCore writes every line.
func newCore(w io.Writer, c config.Log) (zapcore.Core, zap.AtomicLevel) {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.TimeEncoder(func(t time.Time, a zapcore.PrimitiveArrayEncoder) {
		a.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	})
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if c.Format == config.LogFormatConsole {
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	level := zap.NewAtomicLevelAt(zapLevel(c.Level))
	return zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level), level
}

func zapLevel(l config.LogLevel) zapcore.Level {
	switch l {
	case config.LogLevelDebug:
		return zapcore.DebugLevel
	case config.LogLevelWarn:
		return zapcore.WarnLevel
	case config.LogLevelError:
		return zapcore.ErrorLevel
	default:
		return zapcore.InfoLevel
	}
}

// statsObject logs what was counted, without the zeros.
type statsObject struct{ *stack.Stats }

func (s statsObject) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for d := range filter.NumDirections {
		err := enc.AddObject(d.String(), zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddUint64("frames", s.Frames[d])
			enc.AddUint64("octets", s.Octets[d])
			for f := range stack.NumFates {
				addNonZero(enc, f.String(), s.Fates[d][f])
			}
			return enc.AddObject("reasons", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
				for r := range filter.NumReasons {
					var n uint64
					for a := range filter.NumActions {
						if a != filter.Monitored {
							n += s.Verdicts[d][a][r]
						}
					}
					addNonZero(enc, r.String(), n)
					addNonZero(enc, "monitored_"+r.String(), s.Verdicts[d][filter.Monitored][r])
				}
				return nil
			}))
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

func addNonZero(enc zapcore.ObjectEncoder, key string, n uint64) {
	if n > 0 {
		enc.AddUint64(key, n)
	}
}
