package ivs_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// stock returns AWS's own client, with which tests call the API without a Service.
func stock(base string) *ivsrealtime.Client {
	return ivsrealtime.New(ivsrealtime.Options{
		Region: region, BaseEndpoint: &base,
		Credentials: credentials.NewStaticCredentialsProvider(fakeivs.AccessKey, fakeivs.SecretKey, ""),
	})
}

func deleteInput(arn stage.ARN) *ivsrealtime.DeleteStageInput {
	return &ivsrealtime.DeleteStageInput{Arn: aws.String(string(arn))}
}
