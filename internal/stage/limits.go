package stage

// Limits are what a stage accepts from one publisher.
type Limits struct {
	MaxHeight           int     `json:"maxHeight"`           // pixels of the shorter side
	AdvisedBitrate      int     `json:"advisedBitrate"`      // bit/s
	MaxBitrate          int     `json:"maxBitrate"`          // bit/s
	MaxKeyframeInterval float64 `json:"maxKeyframeInterval"` // seconds
}

// DefaultLimits returns the limits of IVS ("Service Quotas", "Publishing with OBS").
func DefaultLimits() Limits {
	return Limits{
		MaxHeight: 720, AdvisedBitrate: 2_500_000, MaxBitrate: 8_500_000, MaxKeyframeInterval: 2,
	}
}

// Check returns an error for limits that make no sense. The limits of IVS are well within the
// allowed range.
func (l Limits) Check() error {
	switch {
	case l.MaxHeight < 16 || l.MaxHeight > 8640:
		return Errorf(ErrInvalid, "The greatest height must be 16 to 8640 pixels.")
	case l.MaxBitrate < 10_000 || l.MaxBitrate > 1_000_000_000:
		return Errorf(ErrInvalid, "The greatest bitrate must be 10000 to 1000000000 bit/s.")
	case l.AdvisedBitrate < 10_000 || l.AdvisedBitrate > l.MaxBitrate:
		return Errorf(ErrInvalid, "The advised bitrate must be between 10000 bit/s and the "+
			"greatest bitrate.")
	case !(l.MaxKeyframeInterval >= 0.1 && l.MaxKeyframeInterval <= 60):
		return Errorf(ErrInvalid, "The greatest keyframe interval must be 0.1 to 60 seconds.")
	}
	return nil
}
