"""The official Python SDK and the life cycle of events: terminate, retries and age.

Arguments: endpoint (host:port), secret id, secret key, image. Prints "ok" when every step held.
"""

import json
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, image = sys.argv[1:]
WAIT_S = 60

http = HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=60)
client = scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", ClientProfile(httpProfile=http))


def call(action, params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(params))
    return getattr(client, action)(request)


def until(what, look):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {WAIT_S} s for: {what}")


def refused(action, params, want):
    try:
        call(action, params)
    except TencentCloudSDKException as error:
        assert error.code == want, (error.code, error.message)
        return
    raise AssertionError(f"{action} {params} was not refused")


def accept(event):
    request = {"FunctionName": "sdk", "InvocationType": "Event", "ClientContext": json.dumps(event)}
    return call("Invoke", request).Result.FunctionRequestId


def status(event):
    return call("GetAsyncEventStatus", {"InvokeRequestId": event}).Result


call("CreateFunction", {"FunctionName": "sdk", "MemorySize": 128, "Timeout": 60,
                        "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image}}})
until("it is active", lambda: call("GetFunction", {"FunctionName": "sdk"}).Status == "Active")

for graceful in (False, True):
    event = accept({"route": "sleep?60000"})
    until("it runs", lambda: call("GetFunctionLogs", {"FunctionName": "sdk", "FunctionRequestId": event}).TotalCount)
    call("TerminateAsyncEvent", {"FunctionName": "sdk", "InvokeRequestId": event, "GraceShutdown": graceful})
    until("it is aborted", lambda: status(event).Status == "ABORTED")
    assert status(event).StatusCode == 499, status(event)
    refused("TerminateAsyncEvent", {"FunctionName": "sdk", "InvokeRequestId": event}, "FailedOperation.AsyncEventStatus")
unknown = {"FunctionName": "sdk", "InvokeRequestId": "00000000-0000-4000-8000-000000000000"}
refused("TerminateAsyncEvent", unknown, "ResourceNotFound.AsyncEvent")

config = call("GetFunctionEventInvokeConfig", {"FunctionName": "sdk"}).AsyncTriggerConfig
assert (config.RetryConfig[0].RetryNum, config.MsgTTL) == (2, 21600), config
wanted = {"RetryConfig": [{"RetryNum": 0}], "MsgTTL": 60}
call("UpdateFunctionEventInvokeConfig", {"FunctionName": "sdk", "AsyncTriggerConfig": wanted})
config = call("GetFunctionEventInvokeConfig", {"FunctionName": "sdk", "Qualifier": "$LATEST"}).AsyncTriggerConfig
assert (config.RetryConfig[0].RetryNum, config.MsgTTL) == (0, 60), config
event = accept({"route": "exit?3"})
until("it has failed without a retry", lambda: status(event).Status == "FAILED")
wrong = {"RetryConfig": [{"RetryNum": 3}], "MsgTTL": 60}
refused("UpdateFunctionEventInvokeConfig", {"FunctionName": "sdk", "AsyncTriggerConfig": wrong}, "LimitExceeded.RetryNum")
print("ok")
