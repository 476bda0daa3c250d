package ivsemu

import "net/http"

// operations returns the whole API (39 operations in aws-sdk-go-v2/service/ivsrealtime v1.30.0).
// Operations that the emulator does not support return an error.
func operations() map[string]operation {
	table := map[string]operation{
		"CreateStage":               op(createStage),
		"GetStage":                  op(getStage),
		"ListStages":                op(listStages),
		"UpdateStage":               op(updateStage),
		"DeleteStage":               op(deleteStage),
		"CreateParticipantToken":    op(createParticipantToken),
		"DisconnectParticipant":     op(disconnectParticipant),
		"ImportPublicKey":           op(importPublicKey),
		"GetPublicKey":              op(getPublicKey),
		"ListPublicKeys":            op(listPublicKeys),
		"DeletePublicKey":           op(deletePublicKey),
		"ListStageSessions":         op(listStageSessions),
		"GetStageSession":           op(getStageSession),
		"ListParticipants":          op(listParticipants),
		"GetParticipant":            op(getParticipant),
		"ListParticipantEvents":     op(listParticipantEvents),
		"ListParticipantReplicas":   op(listParticipantReplicas),
		"CreateIngestConfiguration": op(createIngestConfiguration),
		"GetIngestConfiguration":    op(getIngestConfiguration),
		"ListIngestConfigurations":  op(listIngestConfigurations),
		"UpdateIngestConfiguration": op(updateIngestConfiguration),
		"DeleteIngestConfiguration": op(deleteIngestConfiguration),
		"ListTagsForResource":       listTags,
		"TagResource":               tagResource,
		"UntagResource":             untagResource,
	}
	for _, name := range elsewhere() {
		table[name] = func(*Emulator, *request) (any, error) { return nil, notEmulated(name) }
	}
	return table
}

// elsewhere lists the operations of IVS that the emulator does not support, which concern
// compositions and replication between stages.
func elsewhere() []string {
	return []string{
		"StartComposition", "StopComposition", "GetComposition", "ListCompositions",
		"CreateEncoderConfiguration", "GetEncoderConfiguration", "ListEncoderConfigurations",
		"DeleteEncoderConfiguration",
		"CreateStorageConfiguration", "GetStorageConfiguration", "ListStorageConfigurations",
		"DeleteStorageConfiguration",
		"StartParticipantReplication", "StopParticipantReplication",
	}
}

// tagOperation returns the operation for a method on /tags/{arn}. All other operations are POST
// /{operation}.
func tagOperation(method string) string {
	switch method {
	case http.MethodGet:
		return "ListTagsForResource"
	case http.MethodPost:
		return "TagResource"
	case http.MethodDelete:
		return "UntagResource"
	}
	return ""
}
