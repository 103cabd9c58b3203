package main

import (
	"encoding/json"
	"slices"
	"time"
)

// series is measurements of one thing, in the order they were made.
type series []time.Duration

// median is the middle one, or the mean of the two in the middle; 0 of none.
func (s series) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// MarshalJSON writes milliseconds.
func (s series) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("null"), nil
	}
	all := make([]float64, len(s))
	for i, d := range s {
		all[i] = milliseconds(d)
	}
	return json.Marshal(struct {
		Min     float64   `json:"minMs"`
		Median  float64   `json:"medianMs"`
		Max     float64   `json:"maxMs"`
		Samples []float64 `json:"samplesMs"`
	}{slices.Min(all), milliseconds(s.median()), slices.Max(all), all})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
