"""The official Python SDK against one platform: quotas of an existing function, and of the
installation.

Arguments: endpoint (host:port), secret id, secret key, function. Prints "ok" when every step held.
"""

import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, name = sys.argv[1:]
profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=330))
client = scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", profile)


def call(action, **params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(params))
    return getattr(client, action)(request)


def refused(action, want, **params):
    try:
        call(action, **params)
    except TencentCloudSDKException as error:
        assert error.code == want, (action, error.code, error.message)
        return
    raise AssertionError(f"{action} {params} was not refused")


def reserved():
    return call("GetReservedConcurrencyConfig", FunctionName=name).ReservedMem


assert reserved() is None
call("PutReservedConcurrencyConfig", FunctionName=name, ReservedConcurrencyMem=256)
assert reserved() == 256
usage = call("GetAccount").AccountUsage
assert usage.TotalAllocatedConcurrencyMem == 256, usage
total = usage.TotalConcurrencyMem
call("PutTotalConcurrencyConfig", TotalConcurrencyMem=total - 128)
assert call("GetAccount").AccountUsage.TotalConcurrencyMem == total - 128
refused("PutTotalConcurrencyConfig", "FailedOperation.ReservedExceedTotal", TotalConcurrencyMem=256)
refused("PutTotalConcurrencyConfig", "LimitExceeded.UserTotalConcurrencyMemory", TotalConcurrencyMem=total + 1)
want = "LimitExceeded.FunctionReservedConcurrencyMemory"
refused("PutReservedConcurrencyConfig", want, FunctionName=name, ReservedConcurrencyMem=total)
assert call("ListFunctions").Functions[0].ReservedConcurrencyMem == 256
call("DeleteReservedConcurrencyConfig", FunctionName=name)
assert reserved() is None
print("ok")
