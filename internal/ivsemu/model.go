package ivsemu

import (
	"regexp"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// This file contains the types of the model (ivs-realtime 2020-07-14), named as in JSON. A pointer
// distinguishes an absent member from an empty one. Unknown members are ignored, as by AWS.

// An instant is encoded in ISO 8601. The SDKs refuse epoch numbers here, although the protocol
// restJson1 allows them elsewhere.
type instant struct{ time.Time }

func at(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	return &instant{t}
}

// MarshalJSON writes milliseconds, so that events keep their order.
func (i instant) MarshalJSON() ([]byte, error) {
	return []byte(i.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

type empty struct{}

type paged struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int    `json:"maxResults"`
}

func (in *paged) check(c *checker) {
	c.between("maxResults", in.MaxResults, 1, 100)
	if in.NextToken != nil {
		c.length("nextToken", *in.NextToken, 0, 1024)
		c.pattern("nextToken", *in.NextToken, nextTokenPattern)
	}
}

// Stages

type stageShape struct {
	Arn                                   string            `json:"arn"`
	Name                                  string            `json:"name"`
	ActiveSessionID                       string            `json:"activeSessionId,omitempty"`
	Tags                                  map[string]string `json:"tags"`
	AutoParticipantRecordingConfiguration *recordingShape   `json:"autoParticipantRecordingConfiguration,omitempty"`
	// only in responses for a single stage
	Endpoints *endpointsShape `json:"endpoints,omitempty"`
}

type endpointsShape struct {
	Events string `json:"events"`
	WHIP   string `json:"whip"`
	RTMP   string `json:"rtmp"`
	RTMPS  string `json:"rtmps"`
}

type stageOut struct {
	Stage             stageShape   `json:"stage"`
	ParticipantTokens []tokenShape `json:"participantTokens,omitempty"`
}

type stagesOut struct {
	Stages    []stageShape `json:"stages"`
	NextToken string       `json:"nextToken,omitempty"`
}

type createStageIn struct {
	Name                                  *string           `json:"name"`
	ParticipantTokenConfigurations        []tokenConfig     `json:"participantTokenConfigurations"`
	Tags                                  map[string]string `json:"tags"`
	AutoParticipantRecordingConfiguration *recordingShape   `json:"autoParticipantRecordingConfiguration"`
}

func (in *createStageIn) check(c *checker) {
	c.name(in.Name)
	if n := len(in.ParticipantTokenConfigurations); n > 12 {
		c.fail(n, "participantTokenConfigurations",
			"Member must have length less than or equal to 12")
	}
	for i := range in.ParticipantTokenConfigurations {
		in.ParticipantTokenConfigurations[i].check(c)
	}
	c.tags(in.Tags)
	in.AutoParticipantRecordingConfiguration.check(c)
}

// stageArnIn is the request of operations that only name a stage, in the field "arn". The next two
// types do the same for other resources.
type stageArnIn struct {
	Arn *string `json:"arn"`
}

func (in *stageArnIn) check(c *checker) { c.arn("arn", in.Arn, stagePattern) }

type keyArnIn struct {
	Arn *string `json:"arn"`
}

func (in *keyArnIn) check(c *checker) { c.arn("arn", in.Arn, keyPattern) }

type ingestArnIn struct {
	Arn   *string `json:"arn"`
	Force bool    `json:"force"` // only for DeleteIngestConfiguration
}

func (in *ingestArnIn) check(c *checker) { c.arn("arn", in.Arn, ingestPattern) }

type updateStageIn struct {
	Arn                                   *string         `json:"arn"`
	Name                                  *string         `json:"name"`
	AutoParticipantRecordingConfiguration *recordingShape `json:"autoParticipantRecordingConfiguration"`
}

func (in *updateStageIn) check(c *checker) {
	c.arn("arn", in.Arn, stagePattern)
	c.name(in.Name)
	in.AutoParticipantRecordingConfiguration.check(c)
}

// recordingShape is the configuration of recordings. The emulator stores and returns it, but does
// not record.
type recordingShape struct {
	StorageConfigurationArn         *string         `json:"storageConfigurationArn"`
	MediaTypes                      []string        `json:"mediaTypes,omitempty"`
	RecordingReconnectWindowSeconds *int            `json:"recordingReconnectWindowSeconds,omitempty"`
	RecordParticipantReplicas       *bool           `json:"recordParticipantReplicas,omitempty"`
	HLSConfiguration                *hlsShape       `json:"hlsConfiguration,omitempty"`
	ThumbnailConfiguration          *thumbnailShape `json:"thumbnailConfiguration,omitempty"`
}

type hlsShape struct {
	TargetSegmentDurationSeconds *int `json:"targetSegmentDurationSeconds,omitempty"`
}

type thumbnailShape struct {
	TargetIntervalSeconds *int     `json:"targetIntervalSeconds,omitempty"`
	Storage               []string `json:"storage,omitempty"`
	RecordingMode         *string  `json:"recordingMode,omitempty"`
}

var storagePattern = regexp.MustCompile(`^$|^arn:aws:ivs:[a-z0-9-]+:[0-9]+:storage-configuration/[a-zA-Z0-9-]+$`)

func (in *recordingShape) check(c *checker) {
	const at = "autoParticipantRecordingConfiguration."
	if in == nil {
		return
	}
	if c.required(at+"storageConfigurationArn", in.StorageConfigurationArn != nil) {
		c.length(at+"storageConfigurationArn", *in.StorageConfigurationArn, 0, 128)
		c.pattern(at+"storageConfigurationArn", *in.StorageConfigurationArn, storagePattern)
	}
	for _, word := range in.MediaTypes {
		c.oneOf(at+"mediaTypes", &word, "AUDIO_VIDEO", "AUDIO_ONLY", "NONE")
	}
	c.between(at+"recordingReconnectWindowSeconds", in.RecordingReconnectWindowSeconds, 0, 300)
	if hls := in.HLSConfiguration; hls != nil {
		c.between(at+"hlsConfiguration.targetSegmentDurationSeconds",
			hls.TargetSegmentDurationSeconds, 2, 10)
	}
	if thumbnail := in.ThumbnailConfiguration; thumbnail != nil {
		c.between(at+"thumbnailConfiguration.targetIntervalSeconds",
			thumbnail.TargetIntervalSeconds, 1, 86400)
		c.oneOf(at+"thumbnailConfiguration.recordingMode", thumbnail.RecordingMode,
			"INTERVAL", "DISABLED")
		for _, word := range thumbnail.Storage {
			c.oneOf(at+"thumbnailConfiguration.storage", &word, "SEQUENTIAL", "LATEST")
		}
	}
}

// Participant tokens

type tokenConfig struct {
	Duration     *int              `json:"duration"`
	UserID       *string           `json:"userId"`
	Attributes   map[string]string `json:"attributes"`
	Capabilities []string          `json:"capabilities"`
}

func (in *tokenConfig) check(c *checker) {
	c.between("duration", in.Duration, 1, 20160)
	c.userID(in.UserID)
	c.attributes(in.Attributes)
	if n := len(in.Capabilities); n > 2 {
		c.fail(n, "capabilities", "Member must have length less than or equal to 2")
	}
	for _, word := range in.Capabilities {
		c.oneOf("capabilities", &word, "PUBLISH", "SUBSCRIBE")
	}
}

type createTokenIn struct {
	StageArn *string `json:"stageArn"`
	tokenConfig
}

func (in *createTokenIn) check(c *checker) {
	c.arn("stageArn", in.StageArn, stagePattern)
	in.tokenConfig.check(c)
}

type tokenShape struct {
	ParticipantID  string            `json:"participantId"`
	Token          string            `json:"token"`
	UserID         string            `json:"userId,omitempty"`
	Attributes     map[string]string `json:"attributes,omitempty"`
	Duration       int               `json:"duration"`
	Capabilities   []string          `json:"capabilities"`
	ExpirationTime instant           `json:"expirationTime"`
}

type createTokenOut struct {
	ParticipantToken tokenShape `json:"participantToken"`
}

// Public keys

type importKeyIn struct {
	PublicKeyMaterial *string           `json:"publicKeyMaterial"`
	Name              *string           `json:"name"`
	Tags              map[string]string `json:"tags"`
}

func (in *importKeyIn) check(c *checker) {
	if c.required("publicKeyMaterial", in.PublicKeyMaterial != nil) {
		c.pattern("publicKeyMaterial", *in.PublicKeyMaterial, publicKeyPattern)
	}
	c.name(in.Name)
	c.tags(in.Tags)
}

type keyShape struct {
	Arn  string `json:"arn"`
	Name string `json:"name"`
	// absent in lists
	PublicKeyMaterial string            `json:"publicKeyMaterial,omitempty"`
	Fingerprint       string            `json:"fingerprint,omitempty"`
	Tags              map[string]string `json:"tags"`
}

type keyOut struct {
	PublicKey keyShape `json:"publicKey"`
}

type keysOut struct {
	PublicKeys []keyShape `json:"publicKeys"`
	NextToken  string     `json:"nextToken,omitempty"`
}

// Participants, sessions and events

type disconnectIn struct {
	StageArn      *string `json:"stageArn"`
	ParticipantID *string `json:"participantId"`
	Reason        *string `json:"reason"`
}

func (in *disconnectIn) check(c *checker) {
	c.arn("stageArn", in.StageArn, stagePattern)
	if c.required("participantId", in.ParticipantID != nil) {
		// the model has no pattern here, unlike in GetParticipant
		c.length("participantId", *in.ParticipantID, 0, 64)
	}
	if in.Reason != nil {
		c.length("reason", *in.Reason, 0, 128)
	}
}

type sessionIn struct {
	StageArn  *string `json:"stageArn"`
	SessionID *string `json:"sessionId"`
}

func (in *sessionIn) check(c *checker) {
	c.arn("stageArn", in.StageArn, stagePattern)
	c.session(in.SessionID)
}

type participantIn struct {
	sessionIn
	ParticipantID *string `json:"participantId"`
}

func (in *participantIn) check(c *checker) {
	in.sessionIn.check(c)
	c.participant(in.ParticipantID)
}

type listEventsIn struct {
	participantIn
	paged
}

func (in *listEventsIn) check(c *checker) {
	in.participantIn.check(c)
	in.paged.check(c)
}

type listSessionsIn struct {
	StageArn *string `json:"stageArn"`
	paged
}

func (in *listSessionsIn) check(c *checker) {
	c.arn("stageArn", in.StageArn, stagePattern)
	in.paged.check(c)
}

type listParticipantsIn struct {
	sessionIn
	paged
	FilterByUserID         *string `json:"filterByUserId"`
	FilterByPublished      *bool   `json:"filterByPublished"`
	FilterByState          *string `json:"filterByState"`
	FilterByRecordingState *string `json:"filterByRecordingState"`
}

func (in *listParticipantsIn) check(c *checker) {
	in.sessionIn.check(c)
	in.paged.check(c)
	if in.FilterByUserID != nil {
		c.length("filterByUserId", *in.FilterByUserID, 0, stage.MaxUserID)
	}
	c.oneOf("filterByState", in.FilterByState, stateConnected, stateDisconnected)
	c.oneOf("filterByRecordingState", in.FilterByRecordingState, "STARTING", "ACTIVE", "STOPPING",
		"STOPPED", "FAILED")
}

// filters counts the filters; AWS allows one.
func (in *listParticipantsIn) filters() (n int) {
	for _, set := range []bool{in.FilterByUserID != nil, in.FilterByPublished != nil,
		in.FilterByState != nil, in.FilterByRecordingState != nil} {
		if set {
			n++
		}
	}
	return n
}

type sessionShape struct {
	SessionID string   `json:"sessionId"`
	StartTime *instant `json:"startTime,omitempty"`
	EndTime   *instant `json:"endTime,omitempty"`
}

type sessionOut struct {
	StageSession sessionShape `json:"stageSession"`
}

type sessionsOut struct {
	StageSessions []sessionShape `json:"stageSessions"`
	NextToken     string         `json:"nextToken,omitempty"`
}

type participantShape struct {
	ParticipantID string   `json:"participantId"`
	UserID        string   `json:"userId"`
	State         string   `json:"state"`
	FirstJoinTime *instant `json:"firstJoinTime,omitempty"`
	Published     bool     `json:"published"`
	// absent in lists
	Attributes      map[string]string `json:"attributes,omitempty"`
	Protocol        string            `json:"protocol,omitempty"`
	RecordingState  string            `json:"recordingState,omitempty"`
	ReplicationType string            `json:"replicationType"`
}

type participantOut struct {
	Participant participantShape `json:"participant"`
}

type participantsOut struct {
	Participants []participantShape `json:"participants"`
	NextToken    string             `json:"nextToken,omitempty"`
}

type eventShape struct {
	Name                string   `json:"name"`
	ParticipantID       string   `json:"participantId"`
	EventTime           *instant `json:"eventTime"`
	RemoteParticipantID string   `json:"remoteParticipantId,omitempty"`
	ErrorCode           string   `json:"errorCode,omitempty"`
	Replica             bool     `json:"replica"`
}

type eventsOut struct {
	Events    []eventShape `json:"events"`
	NextToken string       `json:"nextToken,omitempty"`
}

type replicasIn struct {
	SourceStageArn *string `json:"sourceStageArn"`
	ParticipantID  *string `json:"participantId"`
	paged
}

func (in *replicasIn) check(c *checker) {
	c.arn("sourceStageArn", in.SourceStageArn, stagePattern)
	c.participant(in.ParticipantID)
	c.between("maxResults", in.MaxResults, 1, 50)
	in.paged.check(c)
}

type replicasOut struct {
	Replicas []empty `json:"replicas"`
}

// Tags

type tagsIn struct {
	Tags map[string]string `json:"tags"`
}

func (in *tagsIn) check(c *checker) {
	if c.required("tags", in.Tags != nil) {
		c.tags(in.Tags)
	}
}

type tagsOut struct {
	Tags map[string]string `json:"tags"`
}
