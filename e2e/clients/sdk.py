"""The official Python SDK against one platform: create, wait, invoke, logs, update, copy, delete.

Arguments: endpoint (host:port), secret id, secret key, image, second image. Prints "ok" when every step held.
"""

import json
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, image, second_image = sys.argv[1:]
WAIT_S = 60


def client(**options):
    http = HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=330, reqMethod=options.pop("method", "POST"))
    profile = ClientProfile(httpProfile=http, signMethod=options.pop("sign", None))
    for name, value in options.items():
        setattr(profile, name, value)
    return scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", profile)


def call(action, params, using=None):
    return getattr(using or client(), action)(fill(action, params))


def fill(action, params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(params))
    return request


def wait_active(name):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = call("GetFunction", {"FunctionName": name})
        if found.Status == "Active":
            return found
        assert not found.Status.endswith("Failed"), found.StatusReasons
        time.sleep(0.05)
    raise AssertionError(f"{name} is not active after {WAIT_S} s")


def code(uri):
    return {"ImageConfig": {"ImageType": "personal", "ImageUri": uri}}


def refused(action, params, want):
    try:
        call(action, params)
    except TencentCloudSDKException as error:
        assert error.code.startswith(want), (error.code, error.message)
        assert error.requestId, "an error carries its request id"
        return
    raise AssertionError(f"{action} {params} was not refused")


refused("GetFunction", {"FunctionName": "sdk-event"}, "ResourceNotFound.Function")
call("CreateFunction", {"FunctionName": "sdk-event", "MemorySize": 128, "Timeout": 10, "Code": code(image),
                        "Environment": {"Variables": [{"Key": "COLOUR", "Value": "red"}]}})
refused("CreateFunction", {"FunctionName": "sdk-event", "Code": code(image)}, "ResourceInUse.Function")
found = wait_active("sdk-event")
assert "@sha256:" in found.ImageConfig.ImageUri, found.ImageConfig.ImageUri
assert found.Runtime == "CustomImage" and found.Type == "Event" and found.Environment.Variables[0].Value == "red"

result = call("Invoke", {"FunctionName": "sdk-event", "ClientContext": '{"k": 1}', "LogType": "Tail"}).Result
assert json.loads(result.RetMsg)["event"] == {"k": 1}, result.RetMsg
assert result.InvokeResult == 0 and result.BillDuration >= 1 and result.MemUsage > 0
assert "START RequestId" in result.Log and "Report RequestId" in result.Log, result.Log
result = call("InvokeFunction", {"FunctionName": "sdk-event", "Event": '{"k": 2}'}).Result
assert json.loads(result.RetMsg)["event"] == {"k": 2}, result.RetMsg

# Every signature method of the SDK.
for options in ({"method": "GET"}, {"unsignedPayload": True}, {"sign": "HmacSHA1"}, {"sign": "HmacSHA256"},
                {"sign": "HmacSHA1", "method": "GET"}, {"sign": "HmacSHA256", "method": "GET"}):
    listed = call("ListFunctions", {"Limit": 5, "SearchKey": "sdk"}, using=client(**dict(options)))
    assert listed.TotalCount == 1, (options, listed.to_json_string())

deadline = time.monotonic() + WAIT_S
while True:
    logs = call("GetFunctionLogs", {"FunctionName": "sdk-event", "FunctionRequestId": result.FunctionRequestId})
    if logs.TotalCount == 1 and logs.Data[0].InvokeFinished == 1:
        break
    assert time.monotonic() < deadline, logs.to_json_string()
    time.sleep(0.05)
assert "POST /event-invoke" in logs.Data[0].Log and logs.Data[0].RetCode == 0, logs.Data[0].to_json_string()
status = call("GetRequestStatus", {"FunctionName": "sdk-event", "FunctionRequestId": result.FunctionRequestId})
assert status.TotalCount == 1 and status.Data[0].RetCode == 0, status.to_json_string()

call("UpdateFunctionConfiguration", {"FunctionName": "sdk-event", "MemorySize": 256, "Description": "changed"})
found = wait_active("sdk-event")
assert (found.MemorySize, found.Timeout, found.Description) == (256, 10, "changed"), found.to_json_string()
call("UpdateFunctionCode", {"FunctionName": "sdk-event", "Code": code(second_image)})
assert second_image in wait_active("sdk-event").ImageConfig.ImageUri

call("CopyFunction", {"FunctionName": "sdk-event", "NewFunctionName": "sdk-copy"})
assert wait_active("sdk-copy").MemorySize == 256
call("CreateNamespace", {"Namespace": "other", "Description": "of the test"})
assert {n.Name for n in call("ListNamespaces", {}).Namespaces} == {"default", "other"}
call("DeleteNamespace", {"Namespace": "other"})
assert call("GetAccount", {}).AccountUsage.NamespacesCount == 1
refused("PublishVersion", {"FunctionName": "sdk-nobody"}, "ResourceNotFound.Function")

for name in ("sdk-copy", "sdk-event"):
    call("DeleteFunction", {"FunctionName": name})
deadline = time.monotonic() + WAIT_S
while call("ListFunctions", {}).TotalCount:
    assert time.monotonic() < deadline, "the functions are not gone"
    time.sleep(0.05)
refused("Invoke", {"FunctionName": "sdk-event"}, "ResourceNotFound.Function")
print("ok")
