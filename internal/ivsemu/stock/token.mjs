// The program of AWS's own guide ("Distribute Tokens"), except that the stage is an argument. The
// endpoint comes from AWS_ENDPOINT_URL_IVS_REALTIME, as for every program with an AWS SDK.
import { IVSRealTimeClient, CreateParticipantTokenCommand } from '@aws-sdk/client-ivs-realtime';

const ivsRealtimeClient = new IVSRealTimeClient({ region: 'us-west-2' });
const stageArn = process.argv[2];
const createStageTokenRequest = new CreateParticipantTokenCommand({
  stageArn,
});
const response = await ivsRealtimeClient.send(createStageTokenRequest);
console.log(response.participantToken.token);
