package ivsemu_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
)

// BenchmarkRequests measures how many signed requests of stock clients the emulator answers in a
// second. One benchmark reads, the other creates tokens.
func BenchmarkRequests(b *testing.B) {
	_, base := fakeivs.Serve(b, nil)
	c := client(base, "us-west-2")
	s := newStage(b, c, "main")
	for name, call := range map[string]func() error{
		"GetStage": func() error {
			_, err := c.GetStage(b.Context(), &ivsrealtime.GetStageInput{Arn: s.Arn})
			return err
		},
		"CreateParticipantToken": func() error {
			_, err := c.CreateParticipantToken(b.Context(),
				&ivsrealtime.CreateParticipantTokenInput{
					StageArn: s.Arn,
				})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
